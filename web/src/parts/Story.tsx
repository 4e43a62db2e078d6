// The legs of a call, each on a line of its own, and what happened in sentences.

import type { CallDocument } from "../api";
import { clock } from "../format";
import { phasesOf } from "../story";

const ROLES: Record<string, string> = {
  caller: "caller",
  called: "called by us",
  transfer: "transfer",
  "dialled aside": "dialled aside",
  other: "other leg",
};

export function Story({ call, live }: { call: CallDocument; live: boolean }) {
  const { parties, steps } = call;
  const from = Math.min(...parties.map((party) => party.began_unix_ms));
  const ends = parties.map((party) => party.ended_unix_ms ?? (live ? Date.now() : call.call.last_unix_ms));
  const until = Math.max(...ends, from + 1);
  return (
    <section class="card story" aria-label="What happened" data-testid="story">
      <div class="card-head">
        <h2>What happened</h2>
      </div>
      <ul class="parties">
        {parties.map((party) => (
          <li key={party.letter}>
            <b class={`leg-badge ${party.letter === "A" ? "a" : "b"}`}>{party.letter}</b>
            <span class="who">
              <b>{party.number ?? "unknown number"}</b> <span class="role">{ROLES[party.role] ?? party.role}</span>
            </span>
            <span class="track" aria-hidden="true">
              {phasesOf(party, until).map((phase) => (
                <i
                  key={phase.name}
                  class={phase.name}
                  title={phase.name}
                  style={{
                    left: `${((phase.fromMs - from) / (until - from)) * 100}%`,
                    width: `${((phase.toMs - phase.fromMs) / (until - from)) * 100}%`,
                  }}
                />
              ))}
            </span>
            <span class="words">{party.words}</span>
          </li>
        ))}
      </ul>
      <p class="legend" aria-hidden="true">
        <i class="rings" /> rings <i class="up" /> up{" "}
        {parties.some((party) => party.joined_unix_ms !== null) ? (
          <>
            <i class="joined" /> joined with another leg
          </>
        ) : null}
      </p>
      <ol class="steps">
        {steps.map((step, at) => (
          <li key={at}>
            <time title={clock(step.at_unix_ms)}>{((step.at_unix_ms - from) / 1000).toFixed(1)} s</time>
            {parties.length > 1 ? <b class={`leg-badge ${step.letter === "A" ? "a" : "b"}`}>{step.letter}</b> : null}
            <span>{step.text}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
