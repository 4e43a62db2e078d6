// @vitest-environment node
import { describe, expect, test, vi } from "vitest";
import {
  type CallRow,
  type EntryDocument,
  type Found,
  type Outline,
  query,
  type StageRow,
  type Verdict,
} from "../src/api";
import { curl } from "../src/curl";
import { advice, headingOf, meaning, toneOf } from "../src/diagnosis";
import { ago, count, duration, plural } from "../src/format";
import { isPressing } from "../src/keys";
import { begun, connect, disconnect, merged } from "../src/live";
import { JitterBuffer, Packer } from "../src/phone/buffer";
import { framesOf, latenessOf, levelsOf } from "../src/plots";
import { EventReader } from "../src/sse";
import { stepsOf } from "../src/stages";
import { learned, unjudged } from "../src/verdicts";

describe("the events of a probe", () => {
  test("an event that comes in pieces is one event", () => {
    const reader = new EventReader();

    expect(reader.push('event: step\ndata: {"na')).toEqual([]);
    expect(reader.push('me": "DNS"}\n\n: still here\n\nevent: x\n')).toEqual([{ name: "step", data: { name: "DNS" } }]);
    expect(reader.push("data: 1\n\n")).toEqual([{ name: "x", data: 1 }]);
  });
});

describe("the address bar", () => {
  test("an address that cannot be decoded is an unknown page, not a blank one", async () => {
    vi.stubGlobal("location", { pathname: "/", search: "" });
    const { parseRoute } = await import("../src/router");

    expect(parseRoute("/calls/%")).toEqual({ page: "unknown" });
    expect(parseRoute("/calls/a%20b")).toEqual({ page: "call", session: "a b" });
  });
});

describe("the keyboard", () => {
  const focused = (inside: string[]) =>
    ({
      tagName: "SPAN",
      closest: (what: string) => (what.split(", ").some((one) => inside.includes(one)) ? {} : null),
    }) as unknown as EventTarget;

  test("Enter and Space belong to the button that has the focus, other keys to the page", () => {
    expect(isPressing(focused(["button"]), "Enter")).toBe(true);
    expect(isPressing(focused(["a"]), "Enter")).toBe(true);
    expect(isPressing(focused(["[role]"]), " ")).toBe(true);
    expect(isPressing(focused([]), "Enter")).toBe(false);
    expect(isPressing(focused(["button"]), "j")).toBe(false);
  });
});

describe("the list", () => {
  const row = (session: string, began: number, more: Partial<CallRow> = {}) =>
    ({ session, began_unix_ms: began, ...more }) as CallRow;

  test("a changed call stays in its place, a new one comes on top, one that fits no more goes", () => {
    const before = [row("c", 3), row("b", 2), row("a", 1)];
    const after = merged(
      before,
      [row("b", 2, { outcome: "failed" }), row("d", 4), row("a", 1)],
      (one) => one.session !== "a",
    );

    expect(after.map((one) => one.session)).toEqual(["d", "c", "b"]);
    expect(after[2]?.outcome).toBe("failed");
  });
});

describe("the stream of changes", () => {
  test("what happened between the first list and the stream's beginning is read again", () => {
    const opened: { url: string; hear: (id: string) => void }[] = [];
    vi.stubGlobal(
      "EventSource",
      class {
        static CLOSED = 2;
        constructor(url: string) {
          opened.push({ url, hear: () => {} });
        }
        addEventListener(name: string, heard: (event: object) => void) {
          const last = opened.at(-1);
          if (name === "hello" && last) last.hear = (id) => heard({ data: '{"login":false}', lastEventId: id });
        }
        close() {}
      },
    );
    connect();
    opened[0]?.hear("7");
    const first = begun.value;
    connect();
    opened[1]?.hear("9");
    disconnect();

    expect([first, begun.value]).toEqual([1, 1]);
    expect(opened.map((one) => one.url.includes("after=7"))).toEqual([false, true]);
  });
});

describe("the doctor's word in the list", () => {
  const row = (session: string, outcome: CallRow["outcome"], last_number: number) =>
    ({ session, outcome, last_number }) as CallRow;
  const verdict = (session: string, number: number) => ({ session, number }) as Verdict;

  test("it is asked for once a call has ended, and again when the call changes", () => {
    const rows = [row("a", "failed", 5), row("b", "live", 6), row("c", "good", 7)];
    const known = learned(new Map(), [row("a", "failed", 5)], [verdict("a", 5)]);

    expect(unjudged(rows, known).map((one) => one.session)).toEqual(["c"]);
    expect(unjudged([row("a", "failed", 8)], known).map((one) => one.session)).toEqual(["a"]);
    expect(
      unjudged(
        Array.from({ length: 60 }, (_, at) => row(`${at}`, "good", 1)),
        known,
      ),
    ).toHaveLength(50);
  });

  test("without an answer the last word stays, and nobody asks for ever", () => {
    const known = learned(new Map(), [row("a", "failed", 5)], [verdict("a", 5)]);
    const later = [row("a", "failed", 8), row("b", "failed", 9)];
    const after = learned(known, later, []);

    expect([after.get("a")?.verdict?.number, after.get("b")?.verdict]).toEqual([5, null]);
    expect(unjudged(later, after)).toEqual([]);
  });
});

describe("copy as curl", () => {
  const at = { webhook_url: "https://h/api/calls/webhook", api_base: "https://api.telnyx.com/v2/" };
  const entry = (kind: string, what: object) => ({ kind, what }) as unknown as EntryDocument;

  test("a command names the key, and never holds it", () => {
    const line = curl(
      entry("command.sent", { command: "answer", call_control_id: "v3:a/b", body: { text: "it's" } }),
      at,
    );

    expect(line).toContain("'https://api.telnyx.com/v2/calls/v3%3Aa%2Fb/actions/answer'");
    expect(line).toContain('"Authorization: Bearer $TELNYX_API_KEY"');
    expect(line).toContain(`'{"text":"it'\\''s"}'`);
  });

  test("a webhook says that a signature is missing", () => {
    const line = curl(entry("webhook.received", { body: { data: {} } }), at);

    expect(line).toContain("'https://h/api/calls/webhook'");
    expect(line).toContain("signature");
    expect(line).not.toContain("masked");
  });

  test("what is masked is said to be: sent as it is, it would call nobody", () => {
    expect(curl(entry("command.sent", { command: "dial", body: { to: "+1555•••23" } }), at)).toContain("masked here");
  });
});

describe("the stages", () => {
  const stage = (name: string, at: number | null, marker: number | null = null): StageRow => ({
    name,
    label: name,
    marker,
    at_unix_ms: at,
  });

  test("only the first that did not come is missing; while the call lives none is", () => {
    const stages = [stage("a", 100), stage("b", 150, 1), stage("c", null, 4), stage("d", null)];

    expect(stepsOf(stages, false).map((step) => [step.state, step.tookMs, step.marker])).toEqual([
      ["reached", null, ""],
      ["reached", 50, "1 · 2"],
      ["missing", null, "4"],
      ["open", null, ""],
    ]);
    expect(stepsOf(stages, true)[2]?.state).toBe("open");
  });
});

describe("plots", () => {
  const counted = (ms: number, frames: number, lost: number): EntryDocument =>
    ({
      kind: "media.counted",
      at_unix_ms: ms,
      what: { stream_id: "s", frames_in: frames, frames_out: frames, lost },
    }) as unknown as EntryDocument;

  test("frames are a rate between one count and the next", () => {
    const first = {
      kind: "media.first_inbound",
      at_unix_ms: 1000,
      what: { stream_id: "s" },
    } as unknown as EntryDocument;
    const plotted = framesOf([first, counted(11_000, 500, 0), counted(21_000, 900, 100)], 0);

    expect(plotted.seconds).toEqual([1, 10.999, 11, 20.999]);
    expect(plotted.series[0]).toEqual([50, 50, 40, 40]);
    expect(plotted.series[2]).toEqual([0, 0, 10, 10]);
  });

  test("lateness stands over the time that was counted; a call from before it was measured has no such plot", () => {
    const late = counted(21_000, 900, 0);
    Object.assign(late.what, { jitter_ms: 12.5, loop_lag_ms: 3 });
    const plotted = latenessOf([counted(1000, 0, 0), counted(11_000, 500, 0), late], 0);

    expect(plotted.seconds).toEqual([1, 10.999, 11, 20.999]);
    expect(plotted.series).toEqual([
      [0, 0, 12.5, 12.5],
      [0, 0, 3, 3],
    ]);
    expect(latenessOf([counted(1000, 0, 0), counted(11_000, 500, 0)], 0).seconds).toEqual([]);
  });

  test("silence is cut at the floor, sides of unequal length are filled up", () => {
    const outline = {
      levels_per_s: 10,
      sides: [{ levels_dbfs: [-20, -100] }, { levels_dbfs: [-30] }],
    } as unknown as Outline;

    expect(levelsOf(outline, 2000)).toEqual({
      seconds: [2.05, 2.15],
      series: [
        [-20, -70],
        [-30, null],
      ],
    });
  });
});

describe("the ear's buffer", () => {
  test("it begins once enough waits, and begins anew when it ran dry", () => {
    const buffer = new JitterBuffer(4, 8);
    const block = new Float32Array(2);
    buffer.push(Int16Array.of(16384, 16384, 16384));
    buffer.pull(block);
    expect([...block]).toEqual([0, 0]);
    buffer.push(Int16Array.of(16384));
    for (let at = 0; at < 2; at++) buffer.pull(block);
    expect([...block]).toEqual([0.5, 0.5]);
    buffer.pull(block);
    expect([[...block], buffer.underruns]).toEqual([[0, 0], 1]);
    buffer.push(Int16Array.of(1, 1));
    buffer.pull(block);
    expect([[...block], buffer.waiting]).toEqual([[0, 0], 2]);
  });

  test("of too much the oldest goes", () => {
    const buffer = new JitterBuffer(1, 3);
    buffer.push(Int16Array.of(1, 2));
    buffer.push(Int16Array.of(3, 4));
    const block = new Float32Array(3);
    buffer.pull(block);

    expect([[...block].map((sample) => sample * 32768), buffer.dropped]).toEqual([[2, 3, 4], 1]);
  });

  test("blocks become packets of one length, and loud ones do not wrap around", () => {
    const packer = new Packer(3);

    expect(packer.push(Float32Array.of(0, 2))).toEqual([]);
    expect(packer.push(Float32Array.of(-2, 0.5))).toEqual([Int16Array.of(0, 32767, -32768)]);
  });
});

describe("words", () => {
  test("durations and counts read well", () => {
    expect([0, 999, 4720, 59_900, 61_000, 3_660_000].map(duration)).toEqual([
      "0 ms",
      "999 ms",
      "4.7 s",
      "1:00 min",
      "1:01 min",
      "1:01 h",
    ]);
    expect(count(1234567)).toBe("1 234 567");
    expect(plural(1, "call")).toBe("1 call");
    expect(ago(0, 5_000)).toBe("just now");
    expect(ago(0, 120_000)).toBe("2 min ago");
  });

  test("empty parameters are left out of an address", () => {
    expect(query({ a: "", b: null, c: undefined, d: 0, e: "x y" })).toBe("?d=0&e=x+y");
    expect(query({})).toBe("");
  });
});

describe("the doctor's words", () => {
  const found = (kind: Found["kind"], more: Partial<Found> = {}) =>
    ({
      code: "CLOSE006",
      title: "The application closes the stream",
      layer: "protocol",
      owner: "you",
      kind,
      decided: kind === "fault",
      confidence: "medium",
      summary: "closed with 1000",
      fix: "Keep it open",
      question: kind === "fault" ? "" : "Is the id known?",
      ...more,
    }) as Found;

  test("what is not proven is not called an error", () => {
    expect(headingOf(found("fault"))).toBe("error[CLOSE006]: The application closes the stream");
    expect(headingOf(found("limited"))).toBe("not proven[CLOSE006]: The application closes the stream");
    expect(headingOf(found("open"))).toBe("not decided[CLOSE006]: The application closes the stream");
  });

  test("what decides stands where a fix would", () => {
    expect(advice(found("limited"))).toEqual({ label: "To find out", text: "Is the id known?" });
    expect(advice(found("fault"))).toEqual({ label: "Fix", text: "Keep it open" });
    expect(meaning(found("fault"))).toBe("protocol · fix on: your server · confidence: medium");
  });

  test("only a proven cause is red, and only health is green", () => {
    const verdict = found("limited");

    expect(toneOf({ decided: false, healthy: null, verdict, undecided: verdict })).toBe("unknown");
    expect(toneOf({ decided: true, healthy: false, verdict: found("fault"), undecided: null })).toBe("bad");
    expect(toneOf({ decided: false, healthy: null, verdict: null, undecided: null })).toBe("unknown");
    expect(toneOf({ decided: true, healthy: true, verdict: null, undecided: null })).toBe("good");
  });
});
