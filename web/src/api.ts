// The typed client of the JSON API. Its types are made from the OpenAPI document: `make web`.

import type { components, paths } from "./api.gen";

type Schemas = components["schemas"];
export type CallRow = Schemas["CallRow"];
export type CallPage = Schemas["CallPage"];
export type Verdict = Schemas["Verdict"];
export type Totals = Schemas["Totals"];
export type CallDocument = Schemas["CallDocument"];
export type EntryDocument = Schemas["EntryDocument"];
export type StageRow = Schemas["StageRow"];
export type RecordingDocument = Schemas["RecordingDocument"];
export type Outline = Schemas["Outline"];
export type Resent = Schemas["Resent"];
export type SetupDocument = Schemas["SetupDocument"];
export type SetupStep = Schemas["SetupStep"];
export type DialDocument = Schemas["DialDocument"];
export type Dialling = Schemas["Dialling"];
export type CallQuery = NonNullable<paths["/calls"]["get"]["parameters"]["query"]>;
export type Outcome = CallRow["outcome"];
export type Lane = EntryDocument["lane"];

export const BASE = "/api/v1";

/** What the server said instead of an answer. `error` is its fixed name ("login", "store", …). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly error: string,
    detail: string,
    /** What to do about it, where the doctor knows. */
    readonly explanation: string | null = null,
  ) {
    super(detail);
  }
}

/** Called when the server wants a login. */
let onLogin: () => void = () => {};
export function whenLoginIsNeeded(listener: () => void): void {
  onLogin = listener;
}

export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const answer = await request(path, init);
  return (await answer.json()) as T;
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(BASE + path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "offline", "The server does not answer. Is `callpath serve` still running?");
  }
  if (answer.ok) return answer;
  const said = (await answer.json().catch(() => ({}))) as {
    error?: string;
    detail?: unknown;
    explanation?: string | null;
  };
  const detail = typeof said.detail === "string" ? said.detail : `HTTP ${answer.status}`;
  if (answer.status === 401 && path !== "/login") onLogin();
  throw new ApiError(answer.status, said.error ?? "refused", detail, said.explanation ?? null);
}

export function query(values: Record<string, string | number | boolean | null | undefined>): string {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (given.length === 0) return "";
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

const part = encodeURIComponent;

export const api = {
  calls: (wanted: CallQuery, signal?: AbortSignal) => ask<CallPage>(`/calls${query(wanted)}`, signal ? { signal } : {}),
  verdicts: (sessions: string[]) => ask<Verdict[]>(`/verdicts${query({ sessions: sessions.join(",") })}`),
  totals: () => ask<Totals>("/totals"),
  call: (id: string) => ask<CallDocument>(`/calls/${part(id)}`),
  outline: (id: string, number: number) => ask<Outline>(`/calls/${part(id)}/recordings/${number}/outline`),
  resend: (id: string, number: number, asNew: boolean) =>
    ask<Resent>(`/calls/${part(id)}/entries/${number}/resend${query({ as_new: asNew })}`, { method: "POST" }),
  dialling: () => ask<Dialling>("/dialling"),
  dial: (order: Record<string, string>) =>
    ask<DialDocument>("/calls", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(order),
    }),
  outcome: (id: string, wait_s: number) => ask<DialDocument>(`/calls/${part(id)}/outcome${query({ wait_s })}`),
  hangUp: (id: string) => ask<DialDocument>(`/calls/${part(id)}/hangup`, { method: "POST" }),
  setup: () => ask<SetupDocument>("/setup"),
  login: (token: string) =>
    ask<{ ok: boolean }>("/login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token }),
    }),
  logout: () => ask<{ ok: boolean }>("/logout", { method: "POST" }),
};

export const links = {
  recording: (id: string, number: number) => `${BASE}/calls/${part(id)}/recordings/${number}.wav`,
  export: (format: "csv" | "json", wanted: CallQuery) =>
    `${BASE}/export${query({ format, q: wanted.q, direction: wanted.direction, outcome: wanted.outcome })}`,
  callReport: (id: string, format: "html" | "md") => `${BASE}/calls/${part(id)}/report.${format}`,
  probeReport: (id: string, format: "html" | "md") => `${BASE}/doctor/reports/${part(id)}.${format}`,
};

// --- the doctor's document, schema_version 1 (see callpath.doctor.verdict) ---------------------------------------------

export interface Found {
  code: string;
  slug: string;
  title: string;
  layer: string;
  owner: string;
  kind: "fault" | "outcome" | "limited" | "open" | "note";
  decided: boolean;
  confidence: string;
  summary: string;
  why: string;
  fix: string;
  evidence: string[];
  candidates: string[];
  question: string;
  under: string;
}

export interface ProbeStep {
  name: string;
  status: "ok" | "failed" | "warning" | "skipped";
  duration_ms: number;
  detail: string;
}

export interface Diagnosis {
  url: string;
  /** The sentence that every form of the report begins with. */
  heading: string;
  duration_ms: number;
  healthy: boolean | null;
  decided: boolean;
  reproduce: string;
  next_steps: { title: string; command: string }[];
  verdict: Found | null;
  undecided: Found | null;
  findings: Found[];
  notes: Found[];
  ruled_out: { code: string; slug: string; title: string; evidence: string }[];
  not_checked: { code: string; slug: string; title: string; reason: string; how: string }[];
  steps: ProbeStep[];
  proven: string[];
  unproven: string[];
}
