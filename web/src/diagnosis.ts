// The doctor's words, the same as on a terminal (src/callpath/doctor/report/terminal.py).

import type { Diagnosis, Found } from "./api";

const WORDS = { fault: "error", outcome: "no fault", limited: "not proven", open: "not decided", note: "note" };

const FIX_ON: Record<string, string> = {
  you: "your server",
  network: "the network",
  platform: "the platform",
  "far end": "the caller’s side",
};

/** One finding of several, named as the first line of a report names it. */
export function headingOf(found: Found): string {
  const title = found.kind === "open" && !found.title ? found.summary : found.title;
  return `${WORDS[found.kind]}[${found.code}]: ${title}`;
}

/** Whose the fix is, and how sure that is. */
export function meaning(found: Found): string {
  return `${found.layer} · fix on: ${FIX_ON[found.owner] ?? found.owner} · confidence: ${found.confidence}`;
}

/** What to do: the fix, or what decides. */
export function advice(found: Found): { label: "To find out" | "Fix"; text: string } {
  return found.question ? { label: "To find out", text: found.question } : { label: "Fix", text: found.fix };
}

/** How a report looks: a fault, all well, or open. Only a proven cause is one. */
export function toneOf(
  diagnosis: Pick<Diagnosis, "decided" | "healthy" | "verdict" | "undecided">,
): "bad" | "good" | "unknown" {
  if (diagnosis.verdict?.kind === "outcome") return "good";
  if (diagnosis.verdict ?? diagnosis.undecided) return diagnosis.decided ? "bad" : "unknown";
  return diagnosis.healthy ? "good" : "unknown";
}
