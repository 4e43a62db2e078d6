// How a leg is drawn: pure.

import type { CallDocument } from "./api";

export type Party = CallDocument["parties"][number];

export interface Phase {
  name: "rings" | "up" | "joined";
  fromMs: number;
  toMs: number;
}

/** The times in which a leg rang, was up, and was joined with another one; `until` ends what is not over. */
export function phasesOf(party: Party, until: number): Phase[] {
  const end = party.ended_unix_ms ?? until;
  const up = party.answered_unix_ms ?? party.joined_unix_ms;
  const joined = party.joined_unix_ms;
  const phases: Phase[] = [{ name: "rings", fromMs: party.began_unix_ms, toMs: up ?? end }];
  if (up !== null) phases.push({ name: "up", fromMs: up, toMs: joined ?? end });
  if (joined !== null) phases.push({ name: "joined", fromMs: joined, toMs: end });
  return phases.filter((phase) => phase.toMs > phase.fromMs);
}
