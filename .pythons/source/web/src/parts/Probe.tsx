// The live probe and the check of the account: a button, and each step as it is done.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { type Diagnosis, links, type ProbeStep, query, request } from "../api";
import { duration } from "../format";
import { readEvents } from "../sse";
import { Trouble } from "./basics";
import { AccountCard, DiagnosisCard } from "./Diagnosis";
import { Icon, type IconName } from "./Icon";

const LAYERS = ["URL", "DNS", "TCP", "TLS", "upgrade", "media", "repeat"];
const ICONS: Record<ProbeStep["status"], IconName> = { ok: "good", failed: "bad", warning: "warn", skipped: "minus" };

export function Probe({ session, label }: { session: string | null; label: string }) {
  return (
    <Examination
      path={`/doctor/probe${query({ session })}`}
      label={label}
      again="Probe again"
      hint="Plays the carrier against this server, layer by layer."
      layers={LAYERS}
      Card={DiagnosisCard}
    />
  );
}

export function AccountCheck() {
  return (
    <Examination
      path="/doctor/account"
      label="Check the account"
      again="Check again"
      hint="Only reads: nothing is changed."
      layers={["Telnyx"]}
      Card={AccountCard}
    />
  );
}

interface Props {
  path: string;
  label: string;
  again: string;
  hint: string;
  /** The steps that will be told, as far as they are known before. */
  layers: string[];
  Card: (props: { diagnosis: Diagnosis }) => JSX.Element;
}

function Examination({ path, label, again, hint, layers: expected, Card }: Props) {
  const running = useSignal<AbortController | null>(null);
  const url = useSignal("");
  const steps = useSignal<ProbeStep[]>([]);
  const result = useSignal<{ id: string; document: Diagnosis } | null>(null);
  const trouble = useSignal<Error | null>(null);
  useEffect(() => () => running.peek()?.abort(), [running]);

  const start = async () => {
    const control = new AbortController();
    running.value = control;
    steps.value = [];
    result.value = null;
    trouble.value = null;
    try {
      const answer = await request(path, { method: "POST", signal: control.signal });
      await readEvents(answer, ({ name, data }) => {
        if (name === "url") url.value = (data as { url: string }).url;
        if (name === "step") steps.value = [...steps.value, data as ProbeStep];
        if (name === "trouble") trouble.value = new Error((data as { detail: string }).detail);
        if (name === "diagnosis") result.value = data as { id: string; document: Diagnosis };
      });
      if (!result.value && !trouble.value)
        trouble.value = new Error("It ended without a word. The server's log says why.");
    } catch (error) {
      if ((error as Error).name !== "AbortError") trouble.value = error as Error;
    }
    running.value = null;
  };

  const busy = running.value !== null;
  const isSecure = url.value.startsWith("wss:");
  const layers = expected.filter((layer) => layer !== "TLS" || isSecure || !url.value);
  const reached = new Set(steps.value.map((step) => step.name));
  const waiting = busy ? layers.filter((layer) => !reached.has(layer)) : [];
  return (
    <div class="probe">
      <div class="probe-head">
        {busy ? (
          <button type="button" class="button" onClick={() => running.value?.abort()}>
            <Icon name="bad" /> Stop
          </button>
        ) : (
          <button type="button" class="button primary" onClick={() => void start()}>
            <Icon name="play" /> {result.value ? again : label}
          </button>
        )}
        {url.value ? <code class="url">{url.value}</code> : <span class="hint">{hint}</span>}
      </div>
      {steps.value.length > 0 || busy ? (
        <ol class="probe-steps" aria-live="polite">
          {steps.value.map((step, at) => (
            <li key={at} class={step.status}>
              <Icon name={ICONS[step.status]} />
              <b>{step.name}</b>
              <span class="ms">{duration(step.duration_ms)}</span>
              <span class="detail">{step.detail}</span>
            </li>
          ))}
          {waiting.map((layer, at) => (
            <li key={layer} class={at === 0 ? "now" : "later"}>
              <i class="spinner" aria-hidden="true" />
              <b>{layer}</b>
              <span class="ms" />
              <span class="detail">{at === 0 ? "looking …" : ""}</span>
            </li>
          ))}
        </ol>
      ) : null}
      {trouble.value ? <Trouble error={trouble.value} again={() => void start()} /> : null}
      {result.value ? (
        <>
          <Card diagnosis={result.value.document} />
          <p class="actions">
            <a class="button" href={links.probeReport(result.value.id, "html")} download>
              <Icon name="share" /> Report to share (HTML)
            </a>
            <a class="button quiet" href={links.probeReport(result.value.id, "md")} download>
              Markdown
            </a>
            <span class="hint">Tokens, numbers and call ids are left out.</span>
          </p>
        </>
      ) : null}
    </div>
  );
}
