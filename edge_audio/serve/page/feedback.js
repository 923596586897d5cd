// What a person is told: errors at their field or in a banner, short news, and what a screen reader
// says aloud.

import { $, $$ } from "./dom.js";
import { connection } from "./api.js";

/** Says something to those who hear the page. @param {string} text */
export function announce(text) {
  const announcer = $("#announcer");
  announcer.textContent = "";
  // the same words twice are news only if they were gone between
  requestAnimationFrame(() => (announcer.textContent = text));
}

let toastTimer = 0;
/** @type {(() => void) | null} */
let whenGone = null;

/**
 * Short news that goes away by itself.
 * @param {string} text
 * @param {{label: string, act: () => void, otherwise?: () => void}} [offer] a button, and what
 *   happens if nobody presses it
 */
export function toast(text, offer) {
  dismissToast();
  const box = $("#toast");
  const button = $("button", box);
  $("p", box).textContent = text;
  button.hidden = !offer;
  button.textContent = offer?.label || "";
  button.onclick = () => {
    whenGone = null;
    dismissToast();
    offer.act();
  };
  whenGone = offer?.otherwise || null;
  box.hidden = false;
  toastTimer = setTimeout(dismissToast, offer ? 6000 : 2500);
}

/** Ends the news at once, and does what waited for its end. */
export function dismissToast() {
  clearTimeout(toastTimer);
  $("#toast").hidden = true;
  const then = whenGone;
  whenGone = null;
  then?.();
}

/** @param {string} text */
export function showBanner(text) {
  $("p", $("#banner")).textContent = text;
  $("#banner").hidden = false;
}

export function hideBanner() {
  $("#banner").hidden = true;
}

/**
 * An error where it belongs: at the field that it names, or in the banner.
 * @param {any} error @param {string} [place] the field of errors that name none that is here
 */
export function showError(error, place) {
  const field = $(`[data-error="${CSS.escape(error.field || place || "-")}"]`);
  const at = field || (place && $(`[data-error="${CSS.escape(place)}"]`));
  at?.closest("details")?.setAttribute("open", "");
  // an edit that this model has not, say
  if (!at?.parentElement.checkVisibility()) return showBanner(error.message);
  at.textContent = error.message;
  at.hidden = false;
  const input = document.getElementById(at.dataset.error) || $("input", at.parentElement);
  if (!input) return announce(error.message);
  at.id ||= `error-${at.dataset.error}`;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", at.id);
  input.focus();
}

/** Takes all errors back. */
export function clearErrors() {
  hideBanner();
  for (const at of $$(".error")) at.hidden = true;
  for (const input of $$("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
}

$("button", $("#banner")).addEventListener("click", hideBanner);

connection.addEventListener("lost", () => {
  $("#connection").textContent = "The server does not answer; trying again …";
});
connection.addEventListener("back", () => {
  $("#connection").textContent = "";
  hideBanner(); // what it said was that
  announce("The server answers again.");
});

/** @param {string} text @param {string} what was copied, in words */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyByHand(text); // the clipboard is there on https and localhost only
  }
  toast(`Copied the ${what}`);
}

function copyByHand(text) {
  const area = document.createElement("textarea");
  const before = document.activeElement;
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  before?.focus();
}
