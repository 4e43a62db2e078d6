import { describe, expect, test } from "vitest";
import type { EntryDocument, Lane, StageRow } from "../src/api";
import { dotsOf, goneOf, moved, setupView, spansOf, tickLabel, ticks, wholeView, zoomed } from "../src/timeline";

const AT = 1_767_323_045_000;

function entry(number: number, ms: number, kind: string, lane: Lane, more: Partial<EntryDocument> = {}): EntryDocument {
  return { number, at_unix_ms: AT + ms, kind, lane, tone: "plain", leg: null, line: kind, what: { kind }, ...more };
}

function stage(name: string, at: number | null, marker: number | null = null): StageRow {
  return { name, label: name, marker, at_unix_ms: at };
}

describe("spans", () => {
  test("a command lasts from when it was sent until it was answered", () => {
    const entries = [
      entry(1, 0, "command.sent", "commands", { what: { kind: "command.sent", command_id: "a", command: "answer" } }),
      entry(2, 40, "command.answered", "commands", {
        tone: "bad",
        what: { kind: "command.answered", command_id: "a", command: "answer" },
      }),
    ];

    expect(spansOf(entries, 1000)).toEqual([
      { lane: "commands", fromMs: 0, toMs: 40, label: "answer", tone: "bad", open: false },
    ]);
  });

  test("a socket that is still open reaches to the end of what is shown", () => {
    const entries = [entry(1, 0, "webhook.received", "webhooks"), entry(2, 100, "socket.received", "socket")];

    expect(spansOf(entries, 5000)).toMatchObject([{ lane: "socket", fromMs: 100, toMs: 5000, open: true }]);
  });

  test("each socket ends at its own close", () => {
    const entries = [
      entry(1, 0, "socket.received", "socket"),
      entry(2, 10, "socket.closed", "socket"),
      entry(3, 20, "socket.received", "socket"),
      entry(4, 30, "socket.closed", "socket"),
    ];

    expect(spansOf(entries, 100).map((span) => [span.fromMs, span.toMs])).toEqual([
      [0, 10],
      [20, 30],
    ]);
  });
});

describe("dots", () => {
  const view = { fromMs: 0, toMs: 1000 };

  test("what would lie on top of each other is one dot, in the worst of the tones", () => {
    const entries = [
      entry(1, 0, "a", "webhooks"),
      entry(2, 5, "b", "webhooks", { tone: "bad" }),
      entry(3, 6, "c", "commands"),
      entry(4, 500, "d", "webhooks"),
    ];
    const dots = dotsOf(entries, view, 20);

    expect(dots.map((dot) => [dot.lane, dot.atMs, dot.entries.length, dot.tone])).toEqual([
      ["webhooks", 0, 2, "bad"],
      ["commands", 6, 1, "plain"],
      ["webhooks", 500, 1, "plain"],
    ]);
  });

  test("they are drawn by time, in whichever order they were stored, and only where one looks", () => {
    const entries = [entry(1, 300, "b", "audio"), entry(2, 0, "origin", "handler"), entry(3, 100, "a", "audio")];

    expect(dotsOf(entries, { fromMs: 50, toMs: 350 }, 1).map((dot) => dot.atMs)).toEqual([100, 300]);
  });
});

describe("the stage that did not come", () => {
  test("it was waited for from the last one that did", () => {
    const stages = [
      stage("stream_accepted", AT + 90, 3),
      stage("socket_received", null, 4),
      stage("stream_started", null),
    ];

    expect(goneOf(stages, AT)).toEqual({ lane: "socket", label: "socket_received", marker: 4, fromMs: 90 });
  });

  test("there is none where all came", () => {
    expect(goneOf([stage("first_outbound", AT)], AT)).toBeNull();
  });
});

describe("the view", () => {
  const whole = { fromMs: 0, toMs: 10_000 };

  test("a live call reaches to now", () => {
    const entries = [entry(1, 0, "a", "webhooks")];

    expect(wholeView(entries, true, AT + 5000).toMs).toBeCloseTo(5100);
    expect(wholeView(entries, false, AT + 5000).toMs).toBeCloseTo(204);
  });

  test("the set-up ends a little after the last stage", () => {
    expect(setupView([20, 400], whole)).toEqual({ fromMs: 0, toMs: 500 });
    expect(setupView([], whole)).toEqual({ fromMs: 0, toMs: 100 });
  });

  test("zooming keeps the place under the pointer, and stays inside the call", () => {
    expect(zoomed(whole, whole, 0.5, 5000)).toEqual({ fromMs: 2500, toMs: 7500 });
    expect(zoomed({ fromMs: 0, toMs: 100 }, whole, 1000, 50)).toEqual(whole);
    expect(moved({ fromMs: 9000, toMs: 10_000 }, whole, 5000)).toEqual({ fromMs: 9000, toMs: 10_000 });
    expect(moved({ fromMs: 100, toMs: 200 }, whole, -500)).toEqual({ fromMs: 0, toMs: 100 });
  });

  test("ticks are round, and labelled as finely as they stand", () => {
    expect(ticks({ fromMs: 0, toMs: 1000 }, 5)).toEqual([0, 200, 400, 600, 800, 1000]);
    expect(ticks({ fromMs: 0, toMs: 0 }, 5)).toEqual([]);
    expect(tickLabel(200, { fromMs: 0, toMs: 1000 })).toBe("200 ms");
    expect(tickLabel(2500, { fromMs: 0, toMs: 10_000 })).toBe("2.5 s");
    expect(tickLabel(150_000, { fromMs: 0, toMs: 600_000 })).toBe("2:30");
  });
});
