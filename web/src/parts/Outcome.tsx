import type { CallRow, Outcome, Verdict } from "../api";
import { Icon, type IconName } from "./Icon";

export const OUTCOMES: Record<Outcome, { label: string; icon: IconName; says: string }> = {
  live: { label: "Live", icon: "live", says: "not over yet" },
  good: {
    label: "Good",
    icon: "good",
    says: "the caller was served: audio, Telnyx’s voice, or somebody took the call",
  },
  flawed: { label: "Flawed", icon: "warn", says: "the caller was served, with something wrong" },
  failed: { label: "Failed", icon: "bad", says: "audio did not flow, or the handler raised an error" },
  unconnected: {
    label: "Not connected",
    icon: "minus",
    says: "busy, no answer, voicemail, rejected on purpose: nothing failed",
  },
};

export function OutcomeBadge({ outcome, state }: { outcome: Outcome; state?: CallRow["state"] }) {
  const { label, icon } = OUTCOMES[outcome];
  return (
    <span class={`badge ${outcome}`}>
      <Icon name={icon} />
      {outcome === "live" && state ? state[0]?.toUpperCase() + state.slice(1) : label}
    </span>
  );
}

const STAGES = 8;

/** How far a call came: eight small steps. */
export function Progress({ row }: { row: Pick<CallRow, "stages_reached" | "missing" | "outcome"> }) {
  const until = row.missing ? row.missing.stage - 1 : STAGES;
  const words = row.missing ? `${until} of ${STAGES} stages` : `all ${STAGES} stages`;
  return (
    <span class={`progress ${row.outcome}`} role="img" aria-label={words} title={words}>
      {Array.from({ length: STAGES }, (_, at) => (
        <i
          key={at}
          class={at < until ? "reached" : row.missing && at === until && row.outcome === "failed" ? "missing" : ""}
        />
      ))}
    </span>
  );
}

const SHORT: Partial<Record<CallRow["result"], string>> = {
  talked: "Audio both ways",
  "spoken to": "Telnyx spoke to the caller",
};

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What a call came to, in a few words. */
export function verdictOf(row: CallRow): string {
  if (row.outcome === "failed" && row.problem) return row.problem;
  if (row.missing && row.outcome === "failed") return `Not reached: ${row.missing.label}`;
  if (row.problem) return row.problem;
  if (row.symptoms.length > 0) return row.symptoms.join(", ");
  if (row.outcome === "live") return row.last_line;
  return SHORT[row.result] ?? capital(row.result);
}

/** The doctor's word on a call, always two lines high: undefined while it is asked, null where it has none. */
export function DoctorsWord({ word }: { word: Verdict | null | undefined }) {
  if (word === undefined) return <span class="word" aria-hidden="true" data-waiting />;
  if (!word || (!word.code && word.healthy !== true)) return <span class="word" />;
  if (!word.code) {
    return (
      <span class="word good" title="The doctor found nothing wrong">
        <Icon name="good" /> Healthy
      </span>
    );
  }
  if (word.kind === "outcome") {
    return (
      <span class="word" title={`${word.code} ${word.title}. Nothing failed.`}>
        <Icon name="minus" /> {word.title}
      </span>
    );
  }
  const title = word.decided ? word.title : `Not decided: ${word.title}`;
  return (
    <span class={`word ${word.decided ? "bad" : "unknown"}`} title={`${word.code} ${title}. Up to: ${word.owner}`}>
      <Icon name={word.decided ? "bad" : "unknown"} /> <code>{word.code}</code>{" "}
      {word.decided ? null : <span class="hidden">Not decided: </span>}
      {word.title}
    </span>
  );
}
