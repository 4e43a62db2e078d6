// How a timeline is laid out as a picture: pure, in milliseconds since the first entry; drawing is for parts/Timeline.

import type { EntryDocument, Lane, StageRow } from "./api";

export const LANES: readonly { lane: Lane; label: string }[] = [
  { lane: "webhooks", label: "Webhooks" },
  { lane: "commands", label: "Commands" },
  { lane: "socket", label: "Socket" },
  { lane: "audio", label: "Audio" },
  { lane: "handler", label: "Handler" },
];

export interface View {
  fromMs: number;
  toMs: number;
}

/** A bar: something that lasted. */
export interface Span {
  lane: Lane;
  fromMs: number;
  toMs: number;
  label: string;
  tone: EntryDocument["tone"];
  open: boolean;
}

/** A point, or several that would lie on top of each other. */
export interface Dot {
  lane: Lane;
  atMs: number;
  entries: EntryDocument[];
  tone: EntryDocument["tone"];
}

const STARTS: Record<string, { ends: string[]; label: string }> = {
  "socket.received": { ends: ["socket.closed", "socket.rejected"], label: "socket open" },
  "handler.started": { ends: ["handler.ended", "handler.failed"], label: "handler" },
  "media.first_inbound": { ends: ["stream.stopped", "socket.closed"], label: "audio" },
};

export function originOf(entries: readonly EntryDocument[]): number {
  return entries.reduce((first, entry) => Math.min(first, entry.at_unix_ms), Number.POSITIVE_INFINITY);
}

export function wholeView(entries: readonly EntryDocument[], live: boolean, nowUnixMs: number): View {
  const origin = originOf(entries);
  const last = entries.reduce((latest, entry) => Math.max(latest, entry.at_unix_ms), origin);
  const end = Math.max(live ? nowUnixMs - origin : 0, last - origin, 200);
  return { fromMs: 0, toMs: end * 1.02 };
}

/** The part in which a call is set up: until shortly after the last stage that was reached. */
export function setupView(stageTimes: readonly number[], whole: View): View {
  const last = Math.max(0, ...stageTimes);
  return { fromMs: 0, toMs: Math.min(whole.toMs, Math.max(last * 1.25, 100)) };
}

export function spansOf(entries: readonly EntryDocument[], endMs: number): Span[] {
  const origin = originOf(entries);
  const spans: Span[] = [];
  const sent = new Map<string, EntryDocument>();
  for (const [at, entry] of entries.entries()) {
    const fromMs = entry.at_unix_ms - origin;
    const start = STARTS[entry.kind];
    if (start) {
      const end = entries.slice(at + 1).find((later) => start.ends.includes(later.kind));
      spans.push({
        lane: entry.lane,
        fromMs,
        toMs: end ? end.at_unix_ms - origin : endMs,
        label: start.label,
        tone: end && end.tone === "bad" ? "bad" : "good",
        open: !end,
      });
    }
    const id = (entry.what as { command_id?: string }).command_id;
    if (entry.kind === "command.sent" && id) sent.set(id, entry);
    const begun = entry.kind === "command.answered" && id ? sent.get(id) : undefined;
    if (begun) {
      const label = String((entry.what as { command?: string }).command ?? "command");
      spans.push({
        lane: "commands",
        fromMs: begun.at_unix_ms - origin,
        toMs: fromMs,
        label,
        tone: entry.tone,
        open: false,
      });
    }
  }
  return spans;
}

/** Where a stage that was not reached would have shown itself. */
const LANE_OF_STAGE: Record<string, Lane> = {
  webhook_received: "webhooks",
  call_answered: "webhooks",
  stream_starting: "commands",
  stream_accepted: "commands",
  socket_received: "socket",
  stream_started: "socket",
  first_inbound: "audio",
  first_outbound: "audio",
};

export interface Gone {
  lane: Lane;
  label: string;
  marker: number | null;
  fromMs: number;
}

/** The stage that did not come: it was waited for from the last one that did. */
export function goneOf(stages: readonly StageRow[], originUnixMs: number): Gone | null {
  const missing = stages.find((stage) => stage.at_unix_ms === null);
  const lane = missing && LANE_OF_STAGE[missing.name];
  if (!missing || !lane) return null;
  const reached = stages.flatMap((stage) => (stage.at_unix_ms === null ? [] : [stage.at_unix_ms]));
  const from = reached.length > 0 ? Math.max(...reached) - originUnixMs : 0;
  return { lane, label: missing.label, marker: missing.marker, fromMs: from };
}

/** As they happened: the log keeps the order of writing, which may differ by a few ms. */
export function inTime(entries: readonly EntryDocument[]): EntryDocument[] {
  return [...entries].sort((a, b) => a.at_unix_ms - b.at_unix_ms || a.number - b.number);
}

const WEIGHT: Record<EntryDocument["tone"], number> = { plain: 0, good: 1, warn: 2, bad: 3 };

/** Entries as dots; those of one lane that are nearer than `apartMs` become one dot in the worst of their tones. */
export function dotsOf(entries: readonly EntryDocument[], view: View, apartMs: number): Dot[] {
  const origin = originOf(entries);
  const dots: Dot[] = [];
  const latest = new Map<Lane, Dot>();
  for (const entry of inTime(entries)) {
    const atMs = entry.at_unix_ms - origin;
    if (atMs < view.fromMs || atMs > view.toMs) continue;
    const near = latest.get(entry.lane);
    if (near && atMs - near.atMs < apartMs) {
      near.entries.push(entry);
      if (WEIGHT[entry.tone] > WEIGHT[near.tone]) near.tone = entry.tone;
      continue;
    }
    const dot: Dot = { lane: entry.lane, atMs, entries: [entry], tone: entry.tone };
    dots.push(dot);
    latest.set(entry.lane, dot);
  }
  return dots;
}

/** Round tick times for an axis, about `wanted` of them. */
export function ticks(view: View, wanted: number): number[] {
  const span = view.toMs - view.fromMs;
  if (!(span > 0)) return [];
  const rough = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const times: number[] = [];
  for (let at = Math.ceil(view.fromMs / step) * step; at <= view.toMs; at += step) times.push(at);
  return times;
}

export function tickLabel(ms: number, view: View): string {
  const span = view.toMs - view.fromMs;
  if (span < 2000) return `${Math.round(ms)} ms`;
  if (span < 120_000) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

export function zoomed(view: View, whole: View, factor: number, aroundMs: number): View {
  const span = Math.min(whole.toMs - whole.fromMs, Math.max(20, (view.toMs - view.fromMs) * factor));
  const share = (aroundMs - view.fromMs) / (view.toMs - view.fromMs);
  return clamped({ fromMs: aroundMs - span * share, toMs: aroundMs + span * (1 - share) }, whole);
}

export function moved(view: View, whole: View, byMs: number): View {
  return clamped({ fromMs: view.fromMs + byMs, toMs: view.toMs + byMs }, whole);
}

function clamped(view: View, whole: View): View {
  const span = view.toMs - view.fromMs;
  const fromMs = Math.min(Math.max(whole.fromMs, view.fromMs), Math.max(whole.fromMs, whole.toMs - span));
  return { fromMs, toMs: Math.min(whole.toMs, fromMs + span) };
}
