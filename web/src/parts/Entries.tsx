// The timeline in lines; each opens to what is stored of it.

import { useEffect, useRef } from "preact/hooks";
import { api, type CallDocument, type EntryDocument, type Lane } from "../api";
import { canCurl, curl } from "../curl";
import { since } from "../format";
import { inTime, LANES, originOf } from "../timeline";
import { copy, toast } from "./basics";
import { Icon } from "./Icon";

interface Props {
  call: CallDocument;
  chosen: number | null;
  choose: (number: number | null) => void;
  lane: Lane | null;
  chooseLane: (lane: Lane | null) => void;
}

export function Entries({ call, chosen, choose, lane, chooseLane }: Props) {
  const origin = originOf(call.entries);
  const shown = inTime(call.entries).filter((entry) => lane === null || entry.lane === lane);
  let before = origin;
  return (
    <section class="card entries" aria-label="Entries">
      <div class="card-head">
        <h2>Entries</h2>
        <fieldset class="choice">
          <legend class="hidden">Lane</legend>
          <button type="button" aria-pressed={lane === null} onClick={() => chooseLane(null)}>
            all
          </button>
          {LANES.map((one) => (
            <button key={one.lane} type="button" aria-pressed={lane === one.lane} onClick={() => chooseLane(one.lane)}>
              {one.label.toLowerCase()}
            </button>
          ))}
        </fieldset>
      </div>
      {shown.length === 0 ? <p class="hint padded">Nothing happened in this lane.</p> : null}
      <ol>
        {shown.map((entry) => {
          const gap = entry.at_unix_ms - before;
          before = entry.at_unix_ms;
          return (
            <Entry
              key={entry.number}
              entry={entry}
              atMs={entry.at_unix_ms - origin}
              gapMs={gap}
              call={call}
              isOpen={chosen === entry.number}
              toggle={() => choose(chosen === entry.number ? null : entry.number)}
            />
          );
        })}
      </ol>
    </section>
  );
}

interface EntryProps {
  entry: EntryDocument;
  atMs: number;
  gapMs: number;
  call: CallDocument;
  isOpen: boolean;
  toggle: () => void;
}

function Entry({ entry, atMs, gapMs, call, isOpen, toggle }: EntryProps) {
  const item = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (isOpen) item.current?.scrollIntoView({ block: "nearest" });
  }, [isOpen]);
  const number = MARKERS[entry.kind];
  return (
    <li ref={item} class={`entry ${entry.tone} ${isOpen ? "open" : ""}`}>
      <button type="button" class="entry-line" aria-expanded={isOpen} onClick={toggle}>
        <span class="at">{since(atMs)}</span>
        <span class="gap">{gapMs > 0 ? `+${gapMs} ms` : ""}</span>
        <span class={`lane-chip ${entry.lane}`}>{entry.lane}</span>
        <span class="line">
          {entry.leg ? (
            <b class={`leg-badge ${entry.leg === "A" ? "a" : "b"}`} title={`Leg ${entry.leg}`}>
              {entry.leg}
            </b>
          ) : null}
          {number ? <b class="marker-badge">{number}</b> : null}
          {entry.line}
        </span>
      </button>
      {isOpen ? <Detail entry={entry} call={call} /> : null}
    </li>
  );
}

const MARKERS: Record<string, string> = {
  "stream.starting": "1",
  "stream.url": "2",
  "stream.accepted": "3",
  "socket.received": "4",
};

function Detail({ entry, call }: { entry: EntryDocument; call: CallDocument }) {
  const { kind: _kind, ...what } = entry.what as Record<string, unknown>;
  const answer =
    entry.kind === "command.sent"
      ? call.entries.find(
          (one) =>
            one.kind === "command.answered" &&
            (one.what as { command_id?: string }).command_id === (entry.what as { command_id?: string }).command_id,
        )
      : undefined;
  const resend = async (asNew: boolean) => {
    try {
      const done = await api.resend(call.call.session, entry.number, asNew);
      toast(
        done.new
          ? `${done.event_type} was taken as a new event`
          : "The server knew this event already and did nothing again, as with one that Telnyx repeats",
      );
    } catch (error) {
      toast((error as Error).message, true);
    }
  };
  const shown = JSON.stringify(what, null, 2);
  return (
    <div class="detail-box">
      <div class="actions">
        <code>{entry.kind}</code>
        <span class="hint">entry {entry.number}</span>
        <span class="spring" />
        <button type="button" class="button quiet small" onClick={() => void copy(shown, "Entry")}>
          <Icon name="copy" /> JSON
        </button>
        {canCurl(entry) ? (
          <button type="button" class="button quiet small" onClick={() => void copy(curl(entry, call), "curl command")}>
            <Icon name="copy" /> curl
          </button>
        ) : null}
        {entry.kind === "webhook.received" ? (
          <>
            <button
              type="button"
              class="button quiet small"
              title="The same event id: the server must recognise it"
              onClick={() => void resend(false)}
            >
              <Icon name="again" /> Resend
            </button>
            <button
              type="button"
              class="button quiet small"
              title="A new event id: the server acts on it"
              onClick={() => void resend(true)}
            >
              <Icon name="again" /> Resend as new
            </button>
          </>
        ) : null}
      </div>
      <pre class="json">{shown}</pre>
      {answer ? (
        <>
          <h4>Answer</h4>
          <p class={answer.tone === "bad" ? "problem" : ""}>{answer.line}</p>
          <pre class="json">{JSON.stringify(answer.what, null, 2)}</pre>
        </>
      ) : null}
    </div>
  );
}
