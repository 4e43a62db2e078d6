// The browser phone: a microphone or a file in, the bot out, over one WebSocket to the Telnyx simulator on the server.

import { signal } from "@preact/signals";
import { BASE } from "../api";
import workletUrl from "./phone.worklet.ts?worker&url";

export type Encoding = "PCMU" | "PCMA" | "G722" | "OPUS";
export const ENCODINGS: { encoding: Encoding; says: string }[] = [
  { encoding: "PCMU", says: "PCMU · North America, 8 kHz" },
  { encoding: "PCMA", says: "PCMA · elsewhere, 8 kHz" },
  { encoding: "G722", says: "G722 · HD voice, 16 kHz" },
  { encoding: "OPUS", says: "OPUS · 16 kHz" },
];

export interface Knobs {
  delay_ms: number;
  jitter_ms: number;
  loss_percent: number;
  swap_percent: number;
}
export const CALM: Knobs = { delay_ms: 0, jitter_ms: 0, loss_percent: 0, swap_percent: 0 };

export interface Status {
  said_dbfs: number;
  heard_dbfs: number;
  echo: { delay_ms: number; likeness: number } | null;
  answer_ms: number | null;
  waiting_ms: number;
  dropped_ms: number;
  frames_out: number;
  frames_in: number;
  clears: number;
}

type Message =
  | { type: "ringing"; session: string }
  | { type: "streaming"; encoding: string; rate_hz: number }
  | ({ type: "status" } & Status)
  | { type: "pong"; at: number }
  | { type: "ended"; failure: string | null; session: string | null; hangup_cause: string | null };

/** Who speaks: the microphone, or a recording. */
export type Source = { kind: "microphone"; cancelEcho: boolean } | { kind: "file"; name: string; audio: ArrayBuffer };

export type PhoneState = "idle" | "starting" | "ringing" | "talking" | "ended";

export const phone = {
  state: signal<PhoneState>("idle"),
  session: signal<string | null>(null),
  codec: signal<string>(""),
  status: signal<Status | null>(null),
  linkMs: signal<number | null>(null),
  playerMs: signal<number>(0),
  underruns: signal<number>(0),
  failure: signal<string | null>(null),
  problem: signal<string | null>(null),
  startedAt: signal<number>(0),
  muted: signal(false),
  speaking: signal(false),
};

interface Line {
  socket: WebSocket;
  context: AudioContext;
  gain: GainNode;
  stop: () => void;
}

let line: Line | null = null;

export interface CallOrder {
  encoding: Encoding;
  fault: string | null;
  knobs: Knobs;
  source: Source;
}

/** Why the microphone cannot be had, and what to do. */
export function microphoneProblem(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") {
    return "The browser may not use the microphone. Allow it in the address bar, or let a file speak.";
  }
  if (name === "NotFoundError") return "There is no microphone here. Let a file speak instead.";
  if (name === "NotReadableError") return "Another program holds the microphone.";
  return `The microphone cannot be used: ${(error as Error).message}`;
}

export async function call(order: CallOrder): Promise<void> {
  hangUp();
  Object.assign(phone.state, { value: "starting" });
  for (const one of [phone.session, phone.status, phone.linkMs, phone.failure, phone.problem]) one.value = null;
  phone.muted.value = false;
  const context = new AudioContext({ latencyHint: "interactive" });
  try {
    const running = context.resume();
    await context.audioWorklet.addModule(workletUrl);
    await running;
    const gain = context.createGain();
    const microphone = new AudioWorkletNode(context, "callpath-microphone", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
    });
    gain.connect(microphone);
    const stopSource = await openSource(context, gain, order.source);
    const speaker = new AudioWorkletNode(context, "callpath-speaker", { numberOfInputs: 0, outputChannelCount: [1] });
    speaker.connect(context.destination);
    connect(order, context, gain, microphone, speaker, stopSource);
  } catch (error) {
    void context.close();
    phone.problem.value = order.source.kind === "microphone" ? microphoneProblem(error) : (error as Error).message;
    phone.state.value = "idle";
  }
}

let speakFile: (() => void) | null = null;

async function openSource(context: AudioContext, into: AudioNode, source: Source): Promise<() => void> {
  if (source.kind === "microphone") {
    if (!navigator.mediaDevices) {
      throw new Error("browsers give the microphone only to https pages and to localhost");
    }
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: source.cancelEcho, noiseSuppression: source.cancelEcho, autoGainControl: false },
    });
    context.createMediaStreamSource(stream).connect(into);
    return () => {
      for (const track of stream.getTracks()) track.stop();
    };
  }
  const audio = await context.decodeAudioData(source.audio.slice(0)).catch(() => {
    throw new Error(`${source.name} holds no audio that this browser can read. A WAV or MP3 always works.`);
  });
  let playing: AudioBufferSourceNode | null = null;
  speakFile = () => {
    playing?.stop();
    playing = context.createBufferSource();
    playing.buffer = audio;
    playing.connect(into);
    phone.speaking.value = true;
    playing.onended = () => {
      phone.speaking.value = false;
    };
    playing.start();
  };
  return () => {
    playing?.stop();
    speakFile = null;
    phone.speaking.value = false;
  };
}

function connect(
  order: CallOrder,
  context: AudioContext,
  gain: GainNode,
  microphone: AudioWorkletNode,
  speaker: AudioWorkletNode,
  stopSource: () => void,
): void {
  const url = new URL(`${BASE}/phone`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const pinging = window.setInterval(() => tell({ type: "ping", at: performance.now() }), 1000);
  const stop = () => {
    window.clearInterval(pinging);
    stopSource();
    void context.close();
  };
  const ours: Line = { socket, context, gain, stop };
  line = ours;
  microphone.port.onmessage = (event: MessageEvent<ArrayBuffer>) => {
    // A socket that does not get rid of what it has would only deliver old speech.
    if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 64_000) socket.send(event.data);
  };
  speaker.port.onmessage = (event: MessageEvent<{ waitingMs: number; underruns: number }>) => {
    phone.playerMs.value = event.data.waitingMs;
    phone.underruns.value = event.data.underruns;
  };
  socket.onopen = () => {
    const { encoding, fault, knobs } = order;
    tell({
      type: "call",
      encoding,
      rate_hz: Math.round(context.sampleRate),
      fault,
      knobs: { type: "faults", ...knobs },
    });
  };
  socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
    if (typeof event.data === "string") receive(JSON.parse(event.data) as Message, ours);
    else speaker.port.postMessage(event.data, [event.data]);
  };
  socket.onclose = (event) => {
    if (line === ours) line = null;
    stop();
    if (phone.state.value !== "ended" && phone.state.value !== "idle") {
      phone.state.value = "ended";
      const code = event.code === 1000 ? "" : ` (${event.code})`;
      phone.failure.value ??= `The server ended the phone’s connection${code}.`;
    }
  };
}

function receive(message: Message, ours: Line): void {
  switch (message.type) {
    case "ringing":
      phone.session.value = message.session;
      phone.state.value = "ringing";
      break;
    case "streaming":
      phone.codec.value = `${message.encoding}, ${message.rate_hz / 1000} kHz`;
      phone.startedAt.value = Date.now();
      phone.state.value = "talking";
      speakFile?.();
      break;
    case "status":
      phone.status.value = message;
      break;
    case "pong":
      phone.linkMs.value = performance.now() - message.at;
      break;
    case "ended":
      phone.session.value = message.session ?? phone.session.value;
      phone.failure.value = message.failure;
      phone.state.value = "ended";
      ours.socket.close();
      break;
  }
}

function tell(message: object): void {
  if (line?.socket.readyState === WebSocket.OPEN) line.socket.send(JSON.stringify(message));
}

export function press(digit: string): void {
  tell({ type: "press", digits: digit });
}

export function turnKnobs(knobs: Knobs): void {
  tell({ type: "faults", ...knobs });
}

export function mute(muted: boolean): void {
  phone.muted.value = muted;
  if (line) line.gain.gain.value = muted ? 0 : 1;
}

export function speakAgain(): void {
  speakFile?.();
}

/** Put the phone down; the server says when the call is over. */
export function hangUp(): void {
  if (!line) return;
  if (line.socket.readyState === WebSocket.OPEN) tell({ type: "hangup" });
  else line.socket.close();
}
