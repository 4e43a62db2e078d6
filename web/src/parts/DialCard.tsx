// Call a real phone from here: for who is logged in, where the settings allow it.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, api, type DialDocument, type Dialling } from "../api";
import { callPath } from "../router";
import { Icon } from "./Icon";

const allowed = signal<Dialling | null>(null);
const to = signal("");
const says = signal("");
const handler = signal("");
const detects = signal(false);
const dialled = signal<DialDocument | null>(null);
const busy = signal(false);
const problem = signal("");

const AGAIN_MS = 3000;
const WAIT_S = 20;

export const OUTCOMES: Record<NonNullable<DialDocument["outcome"]>, string> = {
  answered: "Answered",
  human: "A person answered",
  machine: "An answering machine answered",
  fax: "A fax answered",
  screening: "The phone asks who calls",
  busy: "The line is busy",
  no_answer: "Nobody answered",
  rejected: "Declined",
  unreachable: "No such number, or the phone is off",
  refused: "Telnyx refused to dial",
  failed: "The call failed",
  unknown: "Nobody knows what became of it",
};

export function told(dial: DialDocument): string {
  if (dial.outcome === null) return dial.state === "dialling" ? "Telnyx is asked …" : "Ringing …";
  const beep = dial.beep === null ? "" : dial.beep ? ", its beep was heard" : ", without a beep";
  const ended =
    dial.state === "ended" && ["answered", "human", "machine"].includes(dial.outcome) ? "; the call is over" : "";
  return `${OUTCOMES[dial.outcome]}${beep}${dial.provisional ? " (may still change)" : ""}${ended}`;
}

async function place(): Promise<void> {
  const order: Record<string, string> = { to: to.value.trim() };
  if (window.isSecureContext) order.key = crypto.randomUUID(); // a request that the browser repeats is one call
  if (says.value.trim()) order.say = says.value.trim();
  else if (handler.value) order.handler = handler.value;
  if (detects.value) order.detect = "premium";
  busy.value = true;
  problem.value = "";
  dialled.value = null;
  try {
    dialled.value = await api.dial(order);
    while (dialled.value && dialled.value.state !== "ended") {
      const known = dialled.value.outcome !== null;
      if (known) await new Promise((done) => window.setTimeout(done, AGAIN_MS));
      dialled.value = await api.outcome(dialled.value.id, known ? 0 : WAIT_S);
    }
  } catch (error) {
    const why = error instanceof ApiError ? (error.explanation ?? "") : "";
    problem.value = `${error instanceof Error ? error.message : error} ${why}`.trim();
  }
  busy.value = false;
}

async function hangUp(): Promise<void> {
  if (!dialled.value) return;
  try {
    await api.hangUp(dialled.value.id);
  } catch (error) {
    problem.value = error instanceof Error ? error.message : String(error);
  }
}

export function DialCard() {
  useEffect(() => {
    void api
      .dialling()
      .then((found) => (allowed.value = found))
      .catch(() => (allowed.value = null));
  }, []);
  if (!allowed.value) return null;
  return (
    <section class="card dial-card" aria-label="Call a real phone">
      <div class="card-head">
        <h2>Call a real phone</h2>
      </div>
      {allowed.value.on ? <Order /> : <p class="hint">{allowed.value.why}</p>}
    </section>
  );
}

function Order() {
  const dial = dialled.value;
  return (
    <>
      <form
        class="fields"
        onSubmit={(event) => {
          event.preventDefault();
          if (!busy.value) void place();
        }}
      >
        <label>
          <span>Number</span>
          <input
            type="tel"
            required
            autocomplete="off"
            placeholder="+15555550155"
            value={to.value}
            onInput={(event) => (to.value = (event.target as HTMLInputElement).value)}
          />
        </label>
        <label>
          <span>Say</span>
          <input
            type="text"
            maxLength={1000}
            placeholder="nothing: a handler takes the call"
            value={says.value}
            onInput={(event) => (says.value = (event.target as HTMLInputElement).value)}
          />
        </label>
        <label>
          <span>Handler</span>
          <select
            value={handler.value}
            disabled={says.value.trim() !== ""}
            onChange={(event) => (handler.value = (event.target as HTMLSelectElement).value)}
          >
            <option value="">the one that fits</option>
            {(allowed.value?.handlers ?? []).map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={detects.value}
            onChange={(event) => (detects.value = (event.target as HTMLInputElement).checked)}
          />
          <span>Tell people from machines</span>
        </label>
        <button type="submit" class="button call" disabled={busy.value}>
          <Icon name="phone" /> Call
        </button>
      </form>
      {dial ? (
        <p class="dialled" role="status" data-dial={dial.outcome ?? dial.state}>
          {told(dial)}
          {dial.session ? (
            <>
              {" "}
              <a href={callPath(dial.session)}>See the call</a>
            </>
          ) : null}
          {dial.state !== "ended" ? (
            <button type="button" class="button small" onClick={() => void hangUp()}>
              <Icon name="hangup" /> Hang up
            </button>
          ) : null}
        </p>
      ) : null}
      {problem.value ? (
        <p class="problem" role="alert">
          {problem.value}
        </p>
      ) : null}
    </>
  );
}
