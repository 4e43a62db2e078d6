// The stages of a call as steps, with the time between them and the one that is missing: pure.

import type { StageRow } from "./api";

export interface Step {
  name: string;
  label: string;
  marker: string;
  state: "reached" | "missing" | "open";
  /** Since the stage before it that was reached. */
  tookMs: number | null;
}

/** Marker 2, the stream URL, comes together with marker 1: it has no stage of its own. */
export function stepsOf(stages: readonly StageRow[], live: boolean): Step[] {
  let before: number | null = null;
  let stuck = false;
  return stages.map((stage) => {
    const at = stage.at_unix_ms;
    const reached = at !== null;
    const tookMs: number | null = reached && before !== null ? at - before : null;
    if (reached) before = at;
    const missing = !reached && !stuck && !live;
    if (!reached) stuck = true;
    const marker = stage.marker === 1 ? "1 · 2" : stage.marker ? String(stage.marker) : "";
    return {
      name: stage.name,
      label: stage.label,
      marker,
      state: reached ? "reached" : missing ? "missing" : "open",
      tookMs,
    };
  });
}
