// The way of a call to working audio: eight stages, the time between them, the four markers, and the one that is missing.

import type { CallDocument } from "../api";
import { duration } from "../format";
import { stepsOf } from "../stages";
import { Icon } from "./Icon";

export function Stages({ call }: { call: CallDocument }) {
  const { outcome } = call.call;
  const due = outcome === "failed" || outcome === "flawed"; // otherwise nothing that should have come is missing
  return (
    <ol class="stages" aria-label="Stages">
      {stepsOf(call.stages, !due).map((step) => (
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
