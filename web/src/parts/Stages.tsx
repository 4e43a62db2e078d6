// The way of a call to working audio: eight stages, the time between them, the four markers, and the one that is missing.

import type { CallDocument, StageRow } from "../api";
import { duration } from "../format";
import { Icon } from "./Icon";

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

export function Stages({ call }: { call: CallDocument }) {
  const live = call.call.outcome === "live";
  return (
    <ol class="stages" aria-label="Stages">
      {stepsOf(call.stages, live).map((step) => (
        <li key={step.name} class={step.state}>
          <span class="took">{step.tookMs === null ? "" : `+${duration(Math.max(0, step.tookMs))}`}</span>
          <span class="node">
            <Icon name={step.state === "reached" ? "good" : step.state === "missing" ? "bad" : "minus"} />
          </span>
          <span class="label">
            {step.marker ? <b title="marker">{step.marker}</b> : null}
            {step.label}
            {step.state === "missing" ? <em>not reached</em> : null}
          </span>
        </li>
      ))}
    </ol>
  );
}
