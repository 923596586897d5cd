// Light or dark: as the system says until a person chooses.

import { pref, setPref } from "./prefs.js";

const system = matchMedia("(prefers-color-scheme: dark)");

/** Tells "change" when the colours have changed. */
export const theme = new EventTarget();

function apply() {
  const chosen = pref("theme", null);
  const isDark = chosen === null ? system.matches : chosen === "dark";
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  theme.dispatchEvent(new Event("change"));
}

/** The other theme; the system's own choice is followed again once it is the same. */
export function switchTheme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setPref("theme", (next === "dark") === system.matches ? null : next);
  apply();
}

system.addEventListener("change", apply);
apply();
