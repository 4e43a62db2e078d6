// The address bar as a signal. Links of our own are followed without loading the page again.

import { signal } from "@preact/signals";

export type Route =
  | { page: "calls" }
  | { page: "call"; session: string }
  | { page: "phone" }
  | { page: "doctor" }
  | { page: "setup" }
  | { page: "unknown" };

export function parseRoute(path: string): Route {
  const parts = path.split("/").filter(Boolean);
  if (parts.length === 0) return { page: "calls" };
  if (parts[0] === "calls" && parts[1]) {
    try {
      return { page: "call", session: decodeURIComponent(parts[1]) };
    } catch {
      return { page: "unknown" }; // "/calls/%" is no address of a call
    }
  }
  if (parts.length === 1 && (parts[0] === "phone" || parts[0] === "doctor" || parts[0] === "setup")) {
    return { page: parts[0] };
  }
  return { page: "unknown" };
}

export const route = signal<Route>(parseRoute(location.pathname));
export const search = signal(new URLSearchParams(location.search));

export function go(path: string, how: "push" | "replace" = "push"): void {
  if (how === "push") history.pushState(null, "", path);
  else history.replaceState(null, "", path);
  read();
  if (how === "push") window.scrollTo(0, 0);
}

function read(): void {
  const next = parseRoute(location.pathname);
  if (JSON.stringify(next) !== JSON.stringify(route.value)) route.value = next;
  if (location.search.slice(1) !== search.value.toString()) search.value = new URLSearchParams(location.search);
}

export function followLinks(): void {
  window.addEventListener("popstate", read);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/api/")) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

export const callPath = (session: string) => `/calls/${encodeURIComponent(session)}`;
