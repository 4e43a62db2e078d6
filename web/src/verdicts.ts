// What the doctor says of the calls in the list: asked for those that have ended, and again when one changes.

import { type Signal, signal } from "@preact/signals";
import { api, type CallRow, type Verdict } from "./api";

const ASKED_MAX = 50;

/** `number`: the latest entry of the call that the verdict knows. `verdict` null: there was no answer. */
export interface Known {
  number: number;
  verdict: Verdict | null;
}

export const verdicts = signal<ReadonlyMap<string, Known>>(new Map());

/** The calls to ask for next. */
export function unjudged(rows: readonly CallRow[], known: ReadonlyMap<string, Known>): CallRow[] {
  return rows
    .filter((row) => row.outcome !== "live" && (known.get(row.session)?.number ?? 0) < row.last_number)
    .slice(0, ASKED_MAX);
}

/** `known` with the answers for `asked`; a call without one keeps what was known, and is not asked for again. */
export function learned(
  known: ReadonlyMap<string, Known>,
  asked: readonly CallRow[],
  answers: readonly Verdict[],
): Map<string, Known> {
  const after = new Map(known);
  const bySession = new Map(answers.map((one) => [one.session, one]));
  for (const row of asked) {
    const verdict = bySession.get(row.session) ?? known.get(row.session)?.verdict ?? null;
    after.set(row.session, { number: Math.max(row.last_number, bySession.get(row.session)?.number ?? 0), verdict });
  }
  return after;
}

let asking = false;

export async function askVerdicts(rows: Signal<CallRow[]>): Promise<void> {
  if (asking) return; // who asks already looks again
  asking = true;
  let asked = unjudged(rows.peek(), verdicts.peek());
  while (asked.length > 0) {
    const answers = await api.verdicts(asked.map((row) => row.session)).catch(() => null);
    if (answers === null) break; // not answered is not "no verdict": the next change of the list asks again
    verdicts.value = learned(verdicts.peek(), asked, answers);
    asked = unjudged(rows.peek(), verdicts.peek());
  }
  asking = false;
}
