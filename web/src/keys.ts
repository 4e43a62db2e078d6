// The keyboard. A page registers what its keys do; typing into a field is left alone.

import { signal } from "@preact/signals";

export interface Key {
  key: string;
  does: string;
  run: () => void;
}

const stacks = signal<Key[][]>([]);

export function useKeysOf(keys: Key[]): () => void {
  stacks.value = [...stacks.peek(), keys];
  return () => {
    stacks.value = stacks.peek().filter((one) => one !== keys);
  };
}

export function allKeys(): Key[] {
  return stacks.value.flat();
}

export function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.tagName) return false;
  return /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName) || element.isContentEditable;
}

/** Enter and Space belong to the button or link that has the focus. */
export function isPressing(target: EventTarget | null, key: string): boolean {
  if (key !== "Enter" && key !== " ") return false;
  const element = target as HTMLElement | null;
  return Boolean(element?.closest?.("a, button, summary, [role], [tabindex]"));
}

export function listenToKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
      return;
    }
    if (isPressing(event.target, event.key)) return;
    for (const keys of stacks.peek().toReversed()) {
      const found = keys.find((one) => one.key === event.key);
      if (found) {
        event.preventDefault();
        found.run();
        return;
      }
    }
  });
}
