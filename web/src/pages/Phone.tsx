// Call your own bot from here: the browser is the phone, the Telnyx simulator the line.

import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, type EntryDocument, request } from "../api";
import { duration, since } from "../format";
import { onCalls } from "../live";
import { toast } from "../parts/basics";
import { DialCard } from "../parts/DialCard";
import { Icon } from "../parts/Icon";
import {
  CALM,
  call,
  ENCODINGS,
  type Encoding,
  hangUp,
  type Knobs,
  mute,
  phone,
  press,
  type Source,
  speakAgain,
  turnKnobs,
} from "../phone/phone";
import { callPath } from "../router";
import { originOf } from "../timeline";

const encoding = signal<Encoding>("PCMU");
const knobs = signal<Knobs>({ ...CALM });
const fault = signal("");
const speaks = signal<"microphone" | "file">("microphone");
const cancelEcho = signal(true);
const file = signal<{ name: string; audio: ArrayBuffer } | null>(null);
const entries = signal<EntryDocument[]>([]);

const FAULTS = [
  ["", "None"],
  ["never_connects", "The audio socket never comes"],
  ["connects_elsewhere", "A proxy rewrites the audio path"],
  ["connects_late", "The audio socket comes late"],
  ["no_start", "The start frame is missing"],
  ["no_media", "The socket opens, but carries no audio"],
  ["media_stops", "The caller’s audio stops after a second"],
  ["drops", "The connection breaks after a second"],
  ["webhook_duplicated", "Each webhook comes twice"],
  ["webhook_reordered", "Webhooks overtake each other"],
  ["bad_signature", "Webhooks are signed with another key"],
] as const;

const SLIDERS: { name: keyof Knobs; label: string; most: number; step: number; unit: string }[] = [
  { name: "delay_ms", label: "Delay", most: 500, step: 10, unit: "ms" },
  { name: "jitter_ms", label: "Jitter", most: 200, step: 5, unit: "ms" },
  { name: "loss_percent", label: "Loss", most: 30, step: 1, unit: "%" },
  { name: "swap_percent", label: "Out of order", most: 30, step: 1, unit: "%" },
];

async function readFile(chosen: File | undefined): Promise<void> {
  if (!chosen) return;
  if (chosen.size > 50_000_000) {
    toast("This file is larger than 50 MB: cut it first.", true);
    return;
  }
  file.value = { name: chosen.name, audio: await chosen.arrayBuffer() };
}

async function sample(): Promise<void> {
  const answer = await request("/phone/hello.wav");
  file.value = { name: "hello.wav", audio: await answer.arrayBuffer() };
}

async function start(): Promise<void> {
  if (speaks.value === "file" && !file.value) await sample();
  const source: Source =
    speaks.value === "file" && file.value
      ? { kind: "file", ...file.value }
      : { kind: "microphone", cancelEcho: cancelEcho.value };
  entries.value = [];
  await call({ encoding: encoding.value, fault: fault.value || null, knobs: knobs.value, source });
}

async function follow(session: string): Promise<void> {
  const found = await api.call(session).catch(() => null);
  if (found && phone.session.peek() === session) entries.value = found.entries;
}

export function Phone() {
  useEffect(() => {
    document.title = "Phone · callpath";
    const forget = onCalls((rows) => {
      const session = phone.session.peek();
      if (session && rows.some((row) => row.session === session)) void follow(session);
    });
    const keys = (event: KeyboardEvent) => {
      if (phone.state.peek() !== "talking" || !/^[0-9*#]$/.test(event.key)) return;
      if (/^(INPUT|SELECT|TEXTAREA)$/.test((event.target as Element).tagName)) return;
      press(event.key);
    };
    document.addEventListener("keydown", keys);
    return () => {
      forget();
      document.removeEventListener("keydown", keys);
    };
  }, []);
  const busy = phone.state.value !== "idle" && phone.state.value !== "ended";
  return (
    <div class="page phone-page">
      <h1>Phone</h1>
      <p class="lead">
        Calls your handler through the Telnyx simulator: signed webhooks, commands, the media stream and a phone leg’s
        codec are those of a real call.
      </p>
      <div class="phone-grid">
        <section class="card handset" aria-label="Handset">
          <Screen />
          <Meter label="You" level={busy ? (phone.status.value?.said_dbfs ?? -100) : -100} side="caller" />
          <Meter label="Bot" level={busy ? (phone.status.value?.heard_dbfs ?? -100) : -100} side="bot" />
          {busy ? <Controls /> : <Order />}
          {phone.problem.value ? (
            <p class="problem" role="alert">
              {phone.problem.value}
            </p>
          ) : null}
          <Pad disabled={phone.state.value !== "talking"} />
        </section>
        <div class="phone-side">
          <Times />
          <Network busy={busy} />
          <DialCard />
        </div>
      </div>
      <Course />
    </div>
  );
}

function Screen() {
  const state = phone.state.value;
  const now = useSignal(Date.now());
  useEffect(() => {
    const ticking = window.setInterval(() => {
      now.value = Date.now();
    }, 500);
    return () => window.clearInterval(ticking);
  }, [now]);
  const words = {
    idle: "Ready",
    starting: "Opening the line …",
    ringing: "Ringing …",
    talking: duration(Math.max(0, now.value - phone.startedAt.value)),
    ended: phone.failure.value ? "Call failed" : "Call ended",
  }[state];
  return (
    <div class={`screen ${state} ${phone.failure.value ? "failed" : ""}`} data-phone={state}>
      <strong role="status">{words}</strong>
      <span>
        {state === "talking"
          ? phone.codec.value
          : phone.failure.value && state === "ended"
            ? phone.failure.value
            : "Telnyx simulator"}
      </span>
      {phone.session.value && (state === "ended" || state === "talking") ? (
        <a href={callPath(phone.session.value)}>{state === "ended" ? "See the call" : "Follow the call"}</a>
      ) : null}
    </div>
  );
}

function Order() {
  const chooser = useRef<HTMLInputElement>(null);
  return (
    <>
      <div class="fields">
        <label>
          <span>Codec of the phone</span>
          <select
            value={encoding.value}
            onChange={(event) => (encoding.value = (event.target as HTMLSelectElement).value as Encoding)}
          >
            {ENCODINGS.map((one) => (
              <option key={one.encoding} value={one.encoding}>
                {one.says}
              </option>
            ))}
          </select>
        </label>
        <fieldset>
          <legend class="field-label">Who speaks</legend>
          <div class="choice wide">
            <button
              type="button"
              aria-pressed={speaks.value === "microphone"}
              onClick={() => (speaks.value = "microphone")}
            >
              <Icon name="mic" /> microphone
            </button>
            <button type="button" aria-pressed={speaks.value === "file"} onClick={() => (speaks.value = "file")}>
              <Icon name="file" /> a file
            </button>
          </div>
        </fieldset>
        {speaks.value === "microphone" ? (
          <label class="check">
            <input
              type="checkbox"
              checked={cancelEcho.value}
              onChange={(event) => (cancelEcho.value = (event.target as HTMLInputElement).checked)}
            />
            <span>Cancel the loudspeaker’s echo (not needed with headphones)</span>
          </label>
        ) : (
          <div class="file">
            <input
              ref={chooser}
              id="speak-file"
              class="hidden"
              type="file"
              accept="audio/*"
              aria-label="File that speaks"
              onChange={(event) => void readFile((event.target as HTMLInputElement).files?.[0])}
            />
            <button type="button" class="button small" onClick={() => chooser.current?.click()}>
              Choose a file
            </button>
            <span class="hint">{file.value?.name ?? "or a recorded “hello” speaks"}</span>
          </div>
        )}
      </div>
      <button type="button" class="button call" onClick={() => void start()}>
        <Icon name="phone" /> Call
      </button>
    </>
  );
}

function Controls() {
  return (
    <div class="controls">
      {speaks.value === "file" ? (
        <button type="button" class="button" disabled={phone.state.value !== "talking"} onClick={speakAgain}>
          <Icon name="file" /> {phone.speaking.value ? "Speaking …" : "Speak again"}
        </button>
      ) : (
        <button type="button" class="button" aria-pressed={phone.muted.value} onClick={() => mute(!phone.muted.value)}>
          <Icon name="mic" /> {phone.muted.value ? "Muted" : "Mute"}
        </button>
      )}
      <button type="button" class="button call hang" onClick={hangUp}>
        <Icon name="hangup" /> Hang up
      </button>
    </div>
  );
}

const FLOOR = -60;

function Meter({ label, level, side }: { label: string; level: number; side: "caller" | "bot" }) {
  const share = Math.max(0, Math.min(1, (level - FLOOR) / -FLOOR));
  return (
    <div class="meter-row">
      <span>{label}</span>
      <meter class={`meter ${side}`} min={0} max={1} value={share} aria-label={`${label}: level`}>
        {level} dBFS
      </meter>
      <small>{level <= FLOOR ? "silent" : `${Math.round(level)} dB`}</small>
    </div>
  );
}

function Pad({ disabled }: { disabled: boolean }) {
  return (
    <div class="pad" role="group" aria-label="Keypad">
      {"123456789*0#".split("").map((digit) => (
        <button key={digit} type="button" disabled={disabled} onClick={() => press(digit)}>
          {digit}
        </button>
      ))}
    </div>
  );
}

function Times() {
  const status = phone.status.value;
  const rows: { label: string; value: string; says: string }[] = [
    {
      label: "Echo",
      value: status?.echo ? `${status.echo.delay_ms} ms` : "–",
      says: status?.echo
        ? `your own voice, likeness ${status.echo.likeness.toFixed(2)}`
        : "heard when the bot says the same as you",
    },
    {
      label: "Answer",
      value: status?.answer_ms ? duration(status.answer_ms) : "–",
      says: "from your last sound to the bot’s first",
    },
    {
      label: "Browser link",
      value: phone.linkMs.value === null ? "–" : `${phone.linkMs.value.toFixed(1)} ms`,
      says: "there and back",
    },
    {
      label: "Your loudspeaker",
      value: `${Math.round(phone.playerMs.value)} ms`,
      says: `waiting to be played; ran out ${phone.underruns.value} times`,
    },
    {
      label: "Frames",
      value: status ? `${status.frames_out} / ${status.frames_in}` : "–",
      says: `to the bot / from it${status?.clears ? `; ${status.clears} barge-ins` : ""}`,
    },
  ];
  return (
    <section class="card" aria-label="Latency">
      <div class="card-head">
        <h2>Latency</h2>
      </div>
      <dl class="times">
        {rows.map((row) => (
          <div key={row.label}>
            <dt>{row.label}</dt>
            <dd>
              <strong>{row.value}</strong>
              <small>{row.says}</small>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Network({ busy }: { busy: boolean }) {
  const turn = (name: keyof Knobs, value: number) => {
    knobs.value = { ...knobs.value, [name]: value };
    turnKnobs(knobs.value);
  };
  return (
    <section class="card" aria-label="Network">
      <div class="card-head">
        <h2>Make it worse</h2>
        <button
          type="button"
          class="button quiet small"
          onClick={() => {
            knobs.value = { ...CALM };
            turnKnobs(knobs.value);
            fault.value = "";
          }}
        >
          Reset
        </button>
      </div>
      <div class="sliders">
        {SLIDERS.map((slider) => (
          <label key={slider.name}>
            <span>{slider.label}</span>
            <input
              type="range"
              min={0}
              max={slider.most}
              step={slider.step}
              value={knobs.value[slider.name]}
              onInput={(event) => turn(slider.name, Number((event.target as HTMLInputElement).value))}
            />
            <output>
              {knobs.value[slider.name]} {slider.unit}
            </output>
          </label>
        ))}
        <label class="fault">
          <span>Fault</span>
          <select
            value={fault.value}
            disabled={busy}
            onChange={(event) => (fault.value = (event.target as HTMLSelectElement).value)}
          >
            {FAULTS.map(([name, says]) => (
              <option key={name} value={name}>
                {says}
              </option>
            ))}
          </select>
        </label>
        <p class="hint">
          Sliders act at once on your voice, on its way from Telnyx to the server; a fault is for the next call.
        </p>
      </div>
    </section>
  );
}

function Course() {
  if (entries.value.length === 0) return null;
  const origin = originOf(entries.value);
  const shown = entries.value.filter((entry) => entry.kind !== "media.counted").slice(-14);
  return (
    <section class="card" aria-label="What happens on the call">
      <div class="card-head">
        <h2>What happens</h2>
        {phone.session.value ? <a href={callPath(phone.session.value)}>The whole call</a> : null}
      </div>
      <ol class="course">
        {shown.map((entry) => (
          <li key={entry.number} class={entry.tone}>
            <span class="at">{since(entry.at_unix_ms - origin)}</span>
            <span class={`lane-chip ${entry.lane}`}>{entry.lane}</span>
            <span>{entry.line}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
