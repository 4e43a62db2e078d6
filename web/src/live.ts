// What changes on the server, as it does. One connection for all pages.

import { signal } from "@preact/signals";
import { BASE, type CallRow } from "./api";

export const connection = signal<"connecting" | "live" | "lost">("connecting");

type Listener = (rows: CallRow[]) => void;
const listeners = new Set<Listener>();
let source: EventSource | null = null;

export function onCalls(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function connect(): void {
  source?.close();
  connection.value = "connecting";
  source = new EventSource(`${BASE}/changes`);
  source.addEventListener("hello", () => {
    connection.value = "live";
  });
  source.addEventListener("calls", (event) => {
    const rows = JSON.parse((event as MessageEvent<string>).data) as CallRow[];
    for (const listener of listeners) listener(rows);
  });
  source.onerror = () => {
    connection.value = "lost";
    if (source?.readyState === EventSource.CLOSED) window.setTimeout(connect, 3000);
  };
}

export function disconnect(): void {
  source?.close();
  source = null;
}

/** Put changed rows into a list that is newest first: known ones in their place, new ones where they belong. */
export function merged(
  rows: readonly CallRow[],
  changed: readonly CallRow[],
  fits: (row: CallRow) => boolean,
): CallRow[] {
  const bySession = new Map(rows.map((row) => [row.session, row]));
  for (const row of changed) {
    if (fits(row)) bySession.set(row.session, row);
    else bySession.delete(row.session);
  }
  return [...bySession.values()].sort((a, b) => b.began_unix_ms - a.began_unix_ms || (a.session < b.session ? 1 : -1));
}
