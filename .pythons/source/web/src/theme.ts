// Dark or light: as the system has it, until somebody chooses.

import { effect, signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";
const KEY = "callpath-theme";

function stored(): Theme {
  const text = localStorage.getItem(KEY);
  return text === "light" || text === "dark" ? text : "auto";
}

export const theme = signal<Theme>(stored());

export const isDark = signal(false);
const system = matchMedia("(prefers-color-scheme: dark)");

export function keepTheme(): void {
  const apply = () => {
    const dark = theme.value === "dark" || (theme.value === "auto" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    isDark.value = dark;
  };
  system.addEventListener("change", apply);
  effect(() => {
    if (theme.value === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme.value);
    apply();
  });
}

export function nextTheme(): void {
  theme.value = theme.value === "auto" ? (isDark.value ? "light" : "dark") : theme.value === "dark" ? "light" : "dark";
}

/** A colour of the style sheet, for canvases. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
