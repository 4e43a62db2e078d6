// What changes on the server, as it does. One connection for all pages.

import { signal } from "@preact/signals";
import { api, BASE, type CallRow, query } from "./api";

export const connection = signal<"connecting" | "live" | "lost">("connecting");

type Listener = (rows: CallRow[]) => void;
const listeners = new Set<Listener>();
let source: EventSource | null = null;

export function onCalls(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether one logs in here, and may log out. */
export const hasLogin = signal(false);

let lastNumber: string | null = null;

/** Counts up when a connection tells changes "from now on": what came before it, pages have to read again. */
export const begun = signal(0);

export function connect(): void {
  source?.close();
  connection.value = "connecting";
  source = new EventSource(`${BASE}/changes${query({ after: lastNumber })}`);
  source.addEventListener("hello", (event) => {
    connection.value = "live";
    if (lastNumber === null) begun.value += 1;
    lastNumber = event.lastEventId;
    hasLogin.value = (JSON.parse(event.data) as { login: boolean }).login;
  });
  source.addEventListener("calls", (event) => {
    lastNumber = event.lastEventId;
    const rows = JSON.parse(event.data) as CallRow[];
    for (const listener of listeners) listener(rows);
  });
  source.onerror = () => {
    connection.value = "lost";
    if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    void api.totals().catch(() => {}); // says whether it is a login that is needed
    window.setTimeout(() => {
      if (source?.readyState === EventSource.CLOSED) connect();
    }, 3000);
  };
}

export function disconnect(): void {
  source?.close();
  source = null;
  connection.value = "connecting";
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
