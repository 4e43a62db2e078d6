// One call: how far it came and why no further; the picture, the sound, every entry.

import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { api, type CallDocument, type Diagnosis, type EntryDocument, type Lane, links, request } from "../api";
import { clock, day, duration } from "../format";
import { useKeysOf } from "../keys";
import { begun, onCalls } from "../live";
import { copy, Loading, Trouble, toast } from "../parts/basics";
import { DiagnosisCard } from "../parts/Diagnosis";
import { Entries } from "../parts/Entries";
import { Icon } from "../parts/Icon";
import { OUTCOMES, OutcomeBadge } from "../parts/Outcome";
import { Plot } from "../parts/Plot";
import { Probe } from "../parts/Probe";
import { Stages } from "../parts/Stages";
import { Story } from "../parts/Story";
import { Timeline } from "../parts/Timeline";
import { Waveform } from "../parts/Waveform";
import { framesOf, latenessOf } from "../plots";
import { callPath, go } from "../router";
import { readEvents } from "../sse";
import { inTime, originOf, setupView, type View, wholeView, zoomed } from "../timeline";

/** A call that is being set up changes ten times in a tenth of a second: one look is enough. */
const SETTLE_MS = 150;

export function Call({ session }: { session: string }) {
  const call = useSignal<CallDocument | null>(null);
  const trouble = useSignal<Error | null>(null);
  const load = async () => {
    try {
      const found = await api.call(session);
      const known = call.peek()?.call.last_number ?? 0;
      if (found.call.last_number >= known) call.value = found; // an older answer may come later
      trouble.value = null;
    } catch (error) {
      trouble.value = error as Error;
    }
  };
  useEffect(() => {
    let again = 0;
    void load();
    const forget = onCalls((rows) => {
      const whole = call.peek()?.call.session ?? session;
      const row = rows.find((one) => one.session === whole);
      if (!row || row.last_number === call.peek()?.call.last_number) return;
      window.clearTimeout(again);
      again = window.setTimeout(load, SETTLE_MS);
    });
    return () => {
      window.clearTimeout(again);
      forget();
    };
  }, [session, begun.value]);
  if (trouble.value && !call.value) return <Trouble error={trouble.value} again={() => void load()} />;
  if (!call.value) return <Loading label="Loading the call" />;
  return <Loaded call={call.value} />;
}

function Loaded({ call }: { call: CallDocument }) {
  const { call: row, entries } = call;
  const live = row.outcome === "live";
  const whole = useMemo(() => wholeView(entries, live, Date.now()), [entries, live]);
  const view = useSignal<View>(whole);
  const follows = useSignal(true);
  const playing = useSignal<number | null>(null);
  const chosen = useSignal<number | null>(null);
  const lane = useSignal<Lane | null>(null);
  const origin = originOf(entries);
  useEffect(() => {
    document.title = `${row.from_number ?? "Call"} → ${row.to_number ?? ""} · callpath`;
  }, [row.from_number, row.to_number]);
  useEffect(() => {
    if (follows.value) view.value = whole;
  }, [whole]);

  const show = (next: View, whileLive: boolean) => {
    follows.value = whileLive;
    view.value = next;
  };
  const zoom = (factor: number) =>
    show(zoomed(view.peek(), whole, factor, (view.peek().fromMs + view.peek().toMs) / 2), false);
  const stageTimes = call.stages.flatMap((stage) => (stage.at_unix_ms === null ? [] : [stage.at_unix_ms - origin]));
  const move = (by: number) => {
    const lines = inTime(entries);
    const at = lines.findIndex((entry) => entry.number === chosen.peek());
    const next = lines[Math.min(lines.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    if (next) chosen.value = next.number;
  };
  useEffect(
    () =>
      useKeysOf([
        { key: "+", does: "Zoom in", run: () => zoom(0.5) },
        { key: "-", does: "Zoom out", run: () => zoom(2) },
        { key: "0", does: "Whole call", run: () => show(whole, true) },
        { key: "j", does: "Next entry", run: () => move(1) },
        { key: "k", does: "Previous entry", run: () => move(-1) },
      ]),
    [whole, entries],
  );
  const axis = { view, whole, playing };
  const choose = (entry: EntryDocument) => {
    lane.value = null;
    chosen.value = entry.number;
  };
  const frames = useMemo(() => framesOf(entries, origin), [entries, origin]);
  const lateness = useMemo(() => latenessOf(entries, origin), [entries, origin]);
  const diagnosis = call.diagnosis as Diagnosis | null;
  const due = row.outcome === "failed" || row.outcome === "flawed";
  const came = row.result_words.charAt(0).toUpperCase() + row.result_words.slice(1);
  return (
    <div class="page call-page">
      <a class="back" href="/">
        <Icon name="left" /> All calls
      </a>
      <Head call={call} />
      {call.sentence ? (
        <p class={`sentence ${live ? "live" : "failed"}`}>
          <Icon name={live ? "live" : "bad"} />
          {call.sentence}
        </p>
      ) : (
        <p class={`sentence ${row.outcome}`}>
          <Icon name={live ? "live" : OUTCOMES[row.outcome].icon} />
          {row.problem ?? `${came}${row.symptoms.length > 0 ? `, but: ${row.symptoms.join(", ")}` : "."}`}
        </p>
      )}
      {call.parties.length > 0 ? <Story call={call} live={live} /> : null}
      <section class="card" aria-label="Stages">
        <Stages call={call} />
      </section>
      {diagnosis || (row.outcome !== "good" && !live) ? (
        <section class="card">
          <div class="card-head">
            <h2>Doctor</h2>
          </div>
          <div class="padded">
            {diagnosis ? <DiagnosisCard diagnosis={diagnosis} /> : null}
            <Probe session={row.session} label="Probe this call’s audio URL now" />
          </div>
        </section>
      ) : null}
      <section class="card picture" aria-label="Timeline as a picture" data-testid="picture">
        <div class="card-head">
          <h2>Timeline</h2>
          <fieldset class="choice" aria-label="Zoom">
            <button type="button" onClick={() => show(setupView(stageTimes, whole), false)}>
              set-up
            </button>
            <button type="button" onClick={() => show(whole, true)}>
              whole call
            </button>
            <button type="button" aria-label="Zoom out" onClick={() => zoom(2)}>
              <Icon name="minus" />
            </button>
            <button type="button" aria-label="Zoom in" onClick={() => zoom(0.5)}>
              <Icon name="plus" />
            </button>
          </fieldset>
        </div>
        <Timeline entries={entries} stages={call.stages} due={due} chosen={chosen.value} choose={choose} {...axis} />
        {call.recordings.map((recording) => (
          <Waveform key={recording.number} session={row.session} recording={recording} entries={entries} {...axis} />
        ))}
        {frames.seconds.length > 0 ? (
          <Plot
            title="Frames a second"
            unit="/s"
            plotted={frames}
            names={[
              { label: "in", colour: "caller" },
              { label: "out", colour: "bot" },
              { label: "in trouble", colour: "bad" },
            ]}
            {...axis}
          />
        ) : null}
        {lateness.seconds.length > 0 ? (
          <Plot
            title="Late at worst"
            unit="ms"
            plotted={lateness}
            names={[
              { label: "jitter of the caller’s frames", colour: "caller" },
              { label: "lag of the event loop", colour: "bad" },
            ]}
            {...axis}
          />
        ) : null}
      </section>
      <Entries
        call={call}
        chosen={chosen.value}
        choose={(number) => {
          chosen.value = number;
        }}
        lane={lane.value}
        chooseLane={(one) => {
          lane.value = one;
        }}
      />
    </div>
  );
}

/** The new call's page opens while the old caller still speaks; the replay ends with this tab at the latest. */
async function replay(session: string): Promise<void> {
  try {
    const answer = await request(`/calls/${encodeURIComponent(session)}/replay`, { method: "POST" });
    toast("The call is placed again, through the handler as it is now");
    await readEvents(answer, ({ name, data }) => {
      if (name === "ringing") go(callPath((data as { session: string }).session));
      if (name === "ended") toast((data as { failure: string | null }).failure ?? "The replay is over");
    });
  } catch (error) {
    toast((error as Error).message, true);
  }
}

function Head({ call }: { call: CallDocument }) {
  const { call: row } = call;
  const end = row.ended_unix_ms ?? row.last_unix_ms;
  return (
    <header class="call-head">
      <div>
        <h1>
          {row.from_number ?? "unknown"} <span class="arrow">→</span> {row.to_number ?? "unknown"}
        </h1>
        <p class="meta">
          <OutcomeBadge outcome={row.outcome} state={row.state} />
          <span>{row.direction ?? "direction unknown"}</span>
          <span>
            {day(row.began_unix_ms)}, {clock(row.began_unix_ms)}
          </span>
          <span>{duration(end - row.began_unix_ms)}</span>
          {row.hangup_cause ? <span>hangup cause: {row.hangup_cause}</span> : null}
          <button
            type="button"
            class="id"
            title="Copy the session id"
            onClick={() => void copy(row.session, "Session id")}
          >
            <code>{row.session}</code>
            <Icon name="copy" />
          </button>
        </p>
      </div>
      <div class="actions">
        {call.recordings.length > 0 ? (
          <button type="button" class="button" onClick={() => void replay(row.session)}>
            <Icon name="again" /> Replay
          </button>
        ) : null}
        <a class="button" href={links.callReport(row.session, "html")} download>
          <Icon name="share" /> Report
        </a>
        <a class="button quiet" href={links.callReport(row.session, "md")} download>
          Markdown
        </a>
      </div>
    </header>
  );
}
