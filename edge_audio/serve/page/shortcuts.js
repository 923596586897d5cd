// One table of keys: it is what works, and what the list of shortcuts shows.

import { $, el } from "./dom.js";
import { pref, setPref } from "./prefs.js";

/**
 * @typedef {{keys: string, does: string, act: (event: KeyboardEvent) => void,
 *   everywhere?: boolean}} Shortcut keys: as `nameOf` names them, several with spaces between
 */

const SHOWN = {
  Space: "Space",
  ArrowLeft: "←",
  ArrowRight: "→",
  Escape: "Esc",
  "Ctrl+Enter": "Ctrl ⏎",
  "Ctrl+Shift+Enter": "Ctrl ⇧ ⏎",
  "Shift+ArrowLeft": "⇧ ←",
  "Shift+ArrowRight": "⇧ →",
};

/** @param {KeyboardEvent} event @returns {string} "Ctrl+Shift+Enter" */
function nameOf(event) {
  const key = event.key === " " ? "Space" : event.key;
  const isSign = key.length === 1 && key !== " "; // its Shift is part of it: "?"
  return [
    (event.ctrlKey || event.metaKey) && "Ctrl",
    event.altKey && "Alt",
    event.shiftKey && !isSign && "Shift",
    isSign ? key.toLowerCase() : key,
  ]
    .filter(Boolean)
    .join("+");
}

/** Whether a key belongs to what has the focus rather than to the page. */
function isTaken(event, name) {
  const at = event.target;
  if (!(at instanceof HTMLElement)) return false;
  if (at.closest("dialog")) return true;
  if (at.matches("textarea, select, input:not([type=range], [type=checkbox], [type=radio])")) {
    return true;
  }
  // buttons are pressed with these, sliders and radios moved
  if (at.matches("button, summary, a, input") && ["Space", "Enter"].includes(name)) return true;
  return at.matches("input") && name.includes("Arrow");
}

/** @param {Shortcut[]} shortcuts */
export function listen(shortcuts) {
  const byKey = new Map();
  for (const one of shortcuts) for (const key of one.keys.split(" ")) byKey.set(key, one);
  document.addEventListener("keydown", (event) => {
    const name = nameOf(event);
    const one = byKey.get(name);
    if (!one || event.defaultPrevented || event.isComposing) return;
    const isSingle = name.length === 1;
    if ((isSingle || !one.everywhere) && isTaken(event, name)) return;
    if ($("dialog[open]")) return;
    if (isSingle && !pref("singleKeys", true)) return;
    event.preventDefault();
    if (!event.repeat || name.includes("Arrow")) one.act(event); // a key that is held asks once
  });
  $("#keys-list").replaceChildren(...shortcuts.flatMap(row));
  const single = $("#single-keys");
  single.checked = pref("singleKeys", true);
  single.addEventListener("change", () => setPref("singleKeys", single.checked));
}

function row({ keys, does }) {
  const all = keys.split(" ");
  const few = all.length > 3 ? [all[0], all.at(-1)] : all; // "1 8": from one to the other
  const names = few.map((key) => el("kbd", {}, SHOWN[key] || key));
  if (few !== all) names.splice(1, 0, "to");
  return [el("dt", {}, ...names), el("dd", {}, does)];
}
