// Numbers and times as people read them.

export function duration(ms: number): string {
  if (ms < 0) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${String(seconds % 60).padStart(2, "0")} min`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")} h`;
}

export function clock(unixMs: number): string {
  return new Date(unixMs).toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
  });
}

export function day(unixMs: number): string {
  return new Date(unixMs).toLocaleDateString([], { year: "numeric", month: "short", day: "numeric" });
}

/** "just now", "3 min ago", then the date. */
export function ago(unixMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - unixMs) / 1000));
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return day(unixMs);
}

export function count(value: number): string {
  return value.toLocaleString("en-US").replaceAll(",", " ");
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Since the first entry of a call: "+0.103 s". */
export function since(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}
