// All calls, newest first, as they happen.

import { computed, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, type CallQuery, type CallRow, links, type Outcome, type Totals } from "../api";
import { ago, clock, count, day, duration, plural } from "../format";
import { useKeysOf } from "../keys";
import { begun, merged, onCalls } from "../live";
import { Empty, Loading, Trouble } from "../parts/basics";
import { Icon } from "../parts/Icon";
import { DoctorsWord, OUTCOMES, OutcomeBadge, Progress, verdictOf } from "../parts/Outcome";
import { callPath, go, search } from "../router";
import { askVerdicts, verdicts } from "../verdicts";

const PAGE = 50;

const rows = signal<CallRow[]>([]);
const next = signal<string | null>(null);
const totals = signal<Totals | null>(null);
const loading = signal(false);
const loaded = signal(false);
const trouble = signal<Error | null>(null);
const selected = signal<string | null>(null);
const now = signal(Date.now());
/** What stands in the search box: ahead of the address while somebody types. */
const typed = signal("");

const wanted = computed<CallQuery>(() => {
  const query: CallQuery = {};
  const text = search.value.get("q");
  const direction = search.value.get("direction");
  const outcome = search.value.get("outcome");
  if (text) query.q = text;
  if (direction === "incoming" || direction === "outgoing") query.direction = direction;
  if (outcome && outcome in OUTCOMES) query.outcome = outcome as Outcome;
  return query;
});

let request: AbortController | null = null;

async function load(cursor: string | null): Promise<void> {
  request?.abort();
  request = new AbortController();
  loading.value = true;
  try {
    const page = await api.calls({ ...wanted.peek(), limit: PAGE, ...(cursor ? { cursor } : {}) }, request.signal);
    rows.value = cursor ? merged(rows.peek(), page.calls, () => true) : page.calls;
    next.value = page.next;
    trouble.value = null;
    loaded.value = true;
  } catch (error) {
    if ((error as Error).name === "AbortError") return;
    trouble.value = error as Error;
  }
  loading.value = false;
}

let totalsAt = 0;
let totalsTimer = 0;

/** Counting all calls costs a little: once a second at most. */
function refreshTotals(): void {
  const wait = Math.max(0, totalsAt + 1000 - Date.now());
  window.clearTimeout(totalsTimer);
  totalsTimer = window.setTimeout(async () => {
    totalsAt = Date.now();
    totals.value = await api.totals().catch(() => totals.peek());
  }, wait);
}

/** Whether a changed call belongs into the list; a search by text is the server's, so then only known rows change. */
export function fits(row: CallRow, query: CallQuery, known: boolean): boolean {
  if (query.q && !known) return false;
  if (query.direction && row.direction !== query.direction) return false;
  return !query.outcome || row.outcome === query.outcome;
}

function change(changed: CallRow[]): void {
  const query = wanted.peek();
  const known = new Set(rows.peek().map((row) => row.session));
  const oldest = next.peek() ? (rows.peek().at(-1)?.began_unix_ms ?? 0) : 0;
  const ours = changed.filter((row) => known.has(row.session) || row.began_unix_ms >= oldest);
  rows.value = merged(rows.peek(), ours, (row) => fits(row, query, known.has(row.session)));
  now.value = Date.now();
  refreshTotals();
}

function choose(name: string, value: string): void {
  const parameters = new URLSearchParams(search.value);
  if (value) parameters.set(name, value);
  else parameters.delete(name);
  const text = parameters.toString();
  go(text ? `/?${text}` : "/", "replace");
}

function move(by: number): void {
  const all = rows.peek();
  const at = all.findIndex((row) => row.session === selected.peek());
  const row = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  if (!row) return;
  selected.value = row.session;
  requestAnimationFrame(() => document.querySelector('[data-selected="true"]')?.scrollIntoView({ block: "nearest" }));
}

export function Calls() {
  const box = useRef<HTMLInputElement>(null);
  const more = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    document.title = "Calls · callpath";
    refreshTotals();
    const forget = onCalls(change);
    const ticking = window.setInterval(() => {
      now.value = Date.now();
    }, 1000);
    const release = useKeysOf([
      { key: "/", does: "Search", run: () => box.current?.focus() },
      { key: "j", does: "Next call", run: () => move(1) },
      { key: "k", does: "Previous call", run: () => move(-1) },
      { key: "Enter", does: "Open the call", run: () => selected.peek() && go(callPath(selected.peek() ?? "")) },
    ]);
    return () => {
      forget();
      release();
      window.clearInterval(ticking);
    };
  }, []);
  const asked = search.value.get("q") ?? "";
  useEffect(() => {
    if (document.activeElement !== box.current) typed.value = asked; // else somebody types on
  }, [asked]);
  useEffect(() => {
    void askVerdicts(rows);
  }, [rows.value]);
  const key = JSON.stringify(wanted.value);
  useEffect(() => {
    void load(null);
  }, [key, begun.value]);
  useEffect(() => {
    const button = more.current;
    if (!button) return;
    const seen = new IntersectionObserver((found) => {
      if (found.some((one) => one.isIntersecting) && !loading.peek()) void load(next.peek());
    });
    seen.observe(button);
    return () => seen.disconnect();
  }, [next.value]);

  const filtered = Object.keys(wanted.value).length > 0;
  return (
    <div class="page calls-page">
      <h1 class="hidden">Calls</h1>
      <Tiles totals={totals.value} chosen={wanted.value.outcome ?? null} />
      <div class="toolbar">
        <label class="search">
          <Icon name="search" />
          <span class="hidden">Search calls</span>
          <input
            ref={box}
            type="search"
            placeholder="Number, session id, cause …"
            value={typed.value}
            onInput={(event) => {
              typed.value = (event.target as HTMLInputElement).value;
              later(() => choose("q", typed.peek().trim()));
            }}
          />
          <kbd>/</kbd>
        </label>
        <label class="select">
          <span class="hidden">Direction</span>
          <select
            value={wanted.value.direction ?? ""}
            onChange={(event) => choose("direction", (event.target as HTMLSelectElement).value)}
          >
            <option value="">Both directions</option>
            <option value="incoming">Incoming</option>
            <option value="outgoing">Outgoing</option>
          </select>
        </label>
        <div class="spring" />
        <a class="button quiet" href={links.export("csv", wanted.value)} download>
          <Icon name="download" /> CSV
        </a>
        <a class="button quiet" href={links.export("json", wanted.value)} download>
          <Icon name="download" /> JSON
        </a>
      </div>
      {trouble.value ? (
        <Trouble error={trouble.value} again={() => load(null)} />
      ) : !loaded.value ? (
        <Loading label="Loading calls" />
      ) : rows.value.length === 0 ? (
        filtered ? (
          <Empty title="No call fits">
            <p>Nothing in the call log matches this search and filter.</p>
            <button type="button" class="button" onClick={() => go("/", "replace")}>
              Show all calls
            </button>
          </Empty>
        ) : (
          <FirstSteps refused={totals.value?.refused ?? 0} />
        )
      ) : (
        <>
          <Table />
          {next.value ? (
            <button
              ref={more}
              type="button"
              class="button more"
              disabled={loading.value}
              onClick={() => load(next.value)}
            >
              {loading.value ? "Loading …" : "More calls"}
            </button>
          ) : (
            <p class="end">{plural(rows.value.length, "call")}, that is all of them.</p>
          )}
        </>
      )}
    </div>
  );
}

let pause = 0;
function later(run: () => void): void {
  window.clearTimeout(pause);
  pause = window.setTimeout(run, 180);
}

function Tiles({ totals, chosen }: { totals: Totals | null; chosen: Outcome | null }) {
  return (
    <div class="tiles" role="group" aria-label="Filter by outcome">
      <button type="button" class="tile" aria-pressed={chosen === null} onClick={() => choose("outcome", "")}>
        <strong>{totals ? count(totals.calls) : "–"}</strong>
        <span>All calls</span>
      </button>
      {(Object.keys(OUTCOMES) as Outcome[]).map((outcome) => (
        <button
          key={outcome}
          type="button"
          class={`tile ${outcome}`}
          aria-pressed={chosen === outcome}
          title={OUTCOMES[outcome].says}
          onClick={() => choose("outcome", chosen === outcome ? "" : outcome)}
        >
          <strong>{totals ? count(totals[outcome]) : "–"}</strong>
          <span>
            <Icon name={OUTCOMES[outcome].icon} />
            {OUTCOMES[outcome].label}
          </span>
        </button>
      ))}
    </div>
  );
}

function FirstSteps({ refused }: { refused: number }) {
  return (
    <Empty title="No calls yet">
      <p>Call your own bot from this page: real webhooks, a real media stream, no account and no phone.</p>
      <p class="actions">
        <a class="button primary" href="/phone">
          <Icon name="phone" /> Place a first call
        </a>
        <a class="button" href="/setup">
          Connect a Telnyx number
        </a>
      </p>
      {refused > 0 ? (
        <p class="problem">
          {plural(refused, "request")} came and had to be refused. <a href="/setup">See why</a>
        </p>
      ) : null}
    </Empty>
  );
}

function Table() {
  return (
    <table class="calls">
      <thead>
        <tr>
          <th scope="col">Outcome</th>
          <th scope="col">Began</th>
          <th scope="col">From and to</th>
          <th scope="col" class="number">
            Length
          </th>
          <th scope="col">Stages</th>
          <th scope="col">What came of it</th>
          <th scope="col" class="number">
            Frames in / out
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.value.map((row) => (
          <Row key={row.session} row={row} chosen={selected.value === row.session} nowMs={now.value} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ row, chosen, nowMs }: { row: CallRow; chosen: boolean; nowMs: number }) {
  const end = row.ended_unix_ms ?? (row.outcome === "live" ? Math.max(nowMs, row.last_unix_ms) : row.last_unix_ms);
  const path = callPath(row.session);
  return (
    <tr data-selected={chosen} class={row.outcome} onClick={() => go(path)}>
      <td class="c-outcome">
        <OutcomeBadge outcome={row.outcome} state={row.state} />
      </td>
      <td class="c-began">
        <a href={path} title={`${day(row.began_unix_ms)} ${clock(row.began_unix_ms)} · ${row.session}`}>
          {clock(row.began_unix_ms)}
        </a>
        <small>{ago(row.began_unix_ms, nowMs)}</small>
      </td>
      <td class="c-who">
        <span class="who" title={row.direction ?? "direction unknown"}>
          {row.direction ? <Icon name={row.direction === "incoming" ? "in" : "out"} /> : null}
          <span class="hidden">{row.direction ?? ""}</span>
          <span>{row.from_number ?? "unknown"}</span>
          <span class="arrow">→</span>
          <span>{row.to_number ?? "unknown"}</span>
        </span>
      </td>
      <td class="number c-length">{duration(end - row.began_unix_ms)}</td>
      <td class="c-stages">
        <Progress row={row} />
      </td>
      <td class="c-verdict">
        <span class="verdict" title={verdictOf(row)}>
          {verdictOf(row)}
        </span>
        <DoctorsWord word={row.outcome === "live" ? null : verdicts.value.get(row.session)?.verdict} />
      </td>
      <td class="number c-frames">
        {count(row.frames_in)} / {count(row.frames_out)}
        {row.frames_in_trouble > 0 ? <small class="problem">{count(row.frames_in_trouble)} in trouble</small> : null}
      </td>
    </tr>
  );
}
