// What every key does. The list of shortcuts is made of this table.

import { $ } from "./dom.js";
import * as studio from "./studio.js";
import { switchTheme } from "./theme.js";

const NUDGE = { small: 0.1, large: 1 }; // seconds that an arrow key moves

const click = (id) => () => $(`#${id}`).click();

const focusOn = (id) => () => {
  $(`#${id}`).focus();
  $(`#${id}`).select?.();
};

function nudge(event, seconds) {
  const by = event.key === "ArrowLeft" ? -seconds : seconds;
  studio.seek(studio.player.position + by);
}

/** @type {import("./shortcuts.js").Shortcut[]} */
export const SHORTCUTS = [
  { keys: "Ctrl+Enter g", does: "Generate", act: () => studio.generate(), everywhere: true },
  {
    keys: "Ctrl+Shift+Enter",
    does: "Eight takes at once",
    act: () => studio.generate(studio.VARIATIONS),
    everywhere: true,
  },
  { keys: "Escape", does: "Cancel, or let go of the part", act: studio.escape, everywhere: true },
  { keys: "Space", does: "Play or pause", act: () => studio.player.toggle() },
  {
    keys: "ArrowLeft ArrowRight",
    does: "A tenth of a second back or on",
    act: (e) => nudge(e, NUDGE.small),
  },
  {
    keys: "Shift+ArrowLeft Shift+ArrowRight",
    does: "A second back or on",
    act: (e) => nudge(e, NUDGE.large),
  },
  {
    keys: "Home",
    does: "To the beginning",
    act: () => studio.seek(studio.player.region?.start || 0),
  },
  { keys: "End", does: "To the end", act: () => studio.seek(studio.waveform.seconds) },
  { keys: "l", does: "Repeat", act: click("loop") },
  { keys: "[", does: "The part begins here", act: () => studio.markEdge("start") },
  { keys: "]", does: "The part ends here", act: () => studio.markEdge("end") },
  {
    keys: "r",
    does: "Replace the part",
    act: () => studio.form.can("replace") && studio.EDITS.replace(),
  },
  {
    keys: "e",
    does: "Go on after the end",
    act: () => studio.form.can("extend") && studio.stage.clip && studio.EDITS.extend(),
  },
  { keys: "o", does: "Make a loop", act: () => studio.form.can("loop") && studio.EDITS.loop() },
  { keys: "v", does: "Eight variations of this", act: () => studio.EDITS.more() },
  { keys: "i", does: "Start from this clip", act: studio.startFromOpen },
  {
    keys: "1 2 3 4 5 6 7 8",
    does: "Choose a take",
    act: (e) => studio.chooseTake(Number(e.key) - 1),
  },
  {
    keys: "j k",
    does: "Next or previous in the history",
    act: (e) => studio.openNeighbour(e.key === "j" ? 1 : -1),
  },
  { keys: "b", does: "Hold this clip as B", act: studio.hold },
  { keys: "x", does: "Hear A or B at the same place", act: studio.swap },
  { keys: "f", does: "Favourite", act: studio.toggleOpenFavourite },
  { keys: "d", does: "Download as WAV", act: () => $("#downloads a[href]")?.click() },
  { keys: "c", does: "Copy the command line", act: studio.copyCommand },
  { keys: "Delete", does: "Delete", act: studio.removeOpen },
  { keys: "s", does: "Keep or roll the seed", act: () => studio.form.toggleSeed() },
  { keys: "/", does: "To the prompt", act: focusOn("prompt") },
  { keys: "h", does: "Search the history", act: focusOn("search") },
  {
    keys: "m",
    does: "Sound off or on",
    act: () => studio.player.toggleMute(),
  },
  { keys: "t", does: "Light or dark", act: switchTheme },
  { keys: "?", does: "This list", act: click("keys-button") },
];
