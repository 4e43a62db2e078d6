// Small parts that every page uses: waiting, trouble, emptiness, short messages.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { ApiError } from "../api";
import { Icon } from "./Icon";

export function Loading({ label = "Loading" }: { label?: string }) {
  return (
    <div class="loading" role="status">
      <i aria-hidden="true" />
      <span>{label} …</span>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <section class="empty">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

export function Trouble({ error, again }: { error: Error; again?: () => void }) {
  const offline = error instanceof ApiError && error.status === 0;
  return (
    <section class="empty trouble" role="alert">
      <Icon name="warn" />
      <h2>{offline ? "Not connected" : "That did not work"}</h2>
      <p>{error.message}</p>
      {again ? (
        <button type="button" class="button" onClick={again}>
          <Icon name="again" /> Try again
        </button>
      ) : null}
    </section>
  );
}

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const toasts = signal<Toast[]>([]);
let nextId = 0;

export function toast(text: string, bad = false): void {
  const id = nextId++;
  toasts.value = [...toasts.value, { id, text, bad }];
  window.setTimeout(() => {
    toasts.value = toasts.value.filter((one) => one.id !== id);
  }, 5000);
}

export function Toasts() {
  return (
    <div class="toasts" role="status">
      {toasts.value.map((one) => (
        <div key={one.id} class={one.bad ? "toast bad" : "toast"}>
          {one.text}
        </div>
      ))}
    </div>
  );
}

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    toast("The browser does not let this page copy; mark the text instead.", true);
  }
}
