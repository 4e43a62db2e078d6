// The way to a first real call, each step with a live tick; and the simulator's call, which needs none of them.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, type SetupDocument, type SetupStep } from "../api";
import { onCalls } from "../live";
import { copy, Loading, Trouble } from "../parts/basics";
import { Icon, type IconName } from "../parts/Icon";

const ICONS: Record<SetupStep["state"], IconName> = {
  done: "good",
  missing: "minus",
  warning: "warn",
  unknown: "unknown",
};
const WORDS: Record<SetupStep["state"], string> = {
  done: "done",
  missing: "to do",
  warning: "look at this",
  unknown: "not known yet",
};
const LOOK_EVERY_MS = 3000;

export function Setup() {
  const setup = useSignal<SetupDocument | null>(null);
  const trouble = useSignal<Error | null>(null);
  useEffect(() => {
    document.title = "Setup · callpath";
    const load = async () => {
      try {
        setup.value = await api.setup();
        trouble.value = null;
      } catch (error) {
        trouble.value = error as Error;
      }
    };
    void load();
    const looking = window.setInterval(load, LOOK_EVERY_MS);
    const forget = onCalls(() => void load());
    return () => {
      window.clearInterval(looking);
      forget();
    };
  }, []);
  if (!setup.value) return trouble.value ? <Trouble error={trouble.value} /> : <Loading />;
  const { steps, handler } = setup.value;
  const done = steps.filter((step) => step.state === "done").length;
  const first = steps.find((step) => step.state !== "done");
  return (
    <div class="page narrow">
      <h1>Setup</h1>
      <section class="card invite">
        <div>
          <h2>Try it now, without an account</h2>
          <p>
            The Telnyx simulator calls your handler <code>{handler}</code> from this page: real webhooks, real media
            stream, your microphone.
          </p>
        </div>
        <a class="button primary" href="/phone">
          <Icon name="phone" /> Place a first call
        </a>
      </section>
      <div class="card-head bare">
        <h2>Connect a Telnyx number</h2>
        <span class="hint" role="status">
          {done} of {steps.length} done
        </span>
      </div>
      {trouble.value ? <p class="problem">{trouble.value.message}</p> : null}
      <ol class="setup">
        {steps.map((step) => (
          <li key={step.id} class={`card ${step.state}`} data-step={step.id} data-state={step.state}>
            <span class="tick-mark">
              <Icon name={ICONS[step.state]} />
            </span>
            <div>
              <h3>
                {step.title} <small>{WORDS[step.state]}</small>
              </h3>
              <p>{step.detail}</p>
              {step.value ? (
                <div class="paste">
                  <code>{step.value}</code>
                  <button type="button" class="button small" onClick={() => void copy(step.value ?? "", step.title)}>
                    <Icon name="copy" /> Copy
                  </button>
                </div>
              ) : null}
              {step.state !== "done" &&
              step.help &&
              (step.id === first?.id || step.state === "warning" || step.value) ? (
                <p class="hint">{step.help}</p>
              ) : null}
            </div>
          </li>
        ))}
      </ol>
    </div>
  );
}
