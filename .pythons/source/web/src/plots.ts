// What is plotted of a call, as columns for uPlot: pure.

import type { EntryDocument, Outline } from "./api";

export interface Plotted {
  /** Seconds since the first entry. */
  seconds: number[];
  series: (number | null)[][];
}

interface Counted {
  stream_id: string;
  frames_in?: number;
  frames_out?: number;
  lost?: number;
  late?: number;
  dropped_for_handler?: number;
  frames_rejected?: number;
  underruns?: number;
  write_stalls?: number;
  jitter_ms?: number;
  loop_lag_ms?: number;
}

type Values = (counted: Counted, last: Counted, seconds: number) => number[];

/** Frames a second each way, and frames in trouble, between one count and the next. */
export function framesOf(entries: readonly EntryDocument[], originUnixMs: number): Plotted {
  return stepsBetweenCounts(entries, originUnixMs, (counted, last, seconds) => {
    const rate = (name: keyof Counted) => (Number(counted[name] ?? 0) - Number(last[name] ?? 0)) / seconds;
    const trouble =
      rate("lost") + rate("late") + rate("dropped_for_handler") + rate("frames_rejected") + rate("underruns");
    return [rate("frames_in"), rate("frames_out"), trouble];
  });
}

/** The worst jitter of the caller's frames and lag of the server's event loop, ms; nothing where no count has either. */
export function latenessOf(entries: readonly EntryDocument[], originUnixMs: number): Plotted {
  const measured = entries.some(({ what }) => "jitter_ms" in what || "loop_lag_ms" in what);
  return stepsBetweenCounts(measured ? entries : [], originUnixMs, (counted) => [
    counted.jitter_ms ?? 0,
    counted.loop_lag_ms ?? 0,
  ]);
}

function stepsBetweenCounts(entries: readonly EntryDocument[], originUnixMs: number, valuesOf: Values): Plotted {
  const plotted: Plotted = { seconds: [], series: [] };
  const before = new Map<string, { at: number; counted: Counted }>();
  for (const entry of entries) {
    if (entry.kind === "media.first_inbound") {
      const id = (entry.what as { stream_id?: string }).stream_id ?? "";
      before.set(id, { at: entry.at_unix_ms, counted: { stream_id: id } });
    }
    if (entry.kind !== "media.counted") continue;
    const counted = entry.what as unknown as Counted;
    const last = before.get(counted.stream_id);
    before.set(counted.stream_id, { at: entry.at_unix_ms, counted });
    if (!last) continue;
    const seconds = (entry.at_unix_ms - last.at) / 1000;
    if (seconds <= 0.05) continue;
    const values = valuesOf(counted, last.counted, seconds);
    // A step over the time that was counted, not a slope between two moments.
    for (const at of [last.at, entry.at_unix_ms - 1]) {
      plotted.seconds.push((at - originUnixMs) / 1000);
      for (const [index, value] of values.entries()) {
        plotted.series[index] ??= [];
        plotted.series[index].push(round(value));
      }
    }
  }
  return sorted(plotted);
}

const round = (value: number) => Math.round(value * 100) / 100;

function sorted(plotted: Plotted): Plotted {
  const order = plotted.seconds
    .map((_, at) => at)
    .sort((a, b) => (plotted.seconds[a] ?? 0) - (plotted.seconds[b] ?? 0));
  return {
    seconds: order.map((at) => plotted.seconds[at] ?? 0),
    series: plotted.series.map((values) => order.map((at) => values[at] ?? null)),
  };
}

const FLOOR_DBFS = -70;

/** How loud each side was, dBFS, silence cut at -70. */
export function levelsOf(outline: Outline, beganMs: number): Plotted {
  const length = Math.max(0, ...outline.sides.map((side) => side.levels_dbfs.length));
  return {
    seconds: Array.from({ length }, (_, at) => beganMs / 1000 + (at + 0.5) / outline.levels_per_s),
    series: outline.sides.map((side) =>
      Array.from({ length }, (_, at) => {
        const level = side.levels_dbfs[at];
        return level === undefined ? null : Math.max(FLOOR_DBFS, level);
      }),
    ),
  };
}
