// Where everything meets: what is open, what is asked for, and what follows from a key or a press.

import * as api from "./api.js";
import { $, $$ } from "./dom.js";
import { announce, clearErrors, copy, dismissToast, showBanner, showError, toast } from "./feedback.js";
import { Form, numberIn } from "./form.js";
import { History } from "./history.js";
import { Jobs, isOver } from "./jobs.js";
import { Player } from "./player.js";
import { listen } from "./shortcuts.js";
import { forget, keyOf, loaded, streamed } from "./sounds.js";
import { Stage } from "./stage.js";
import { Takes } from "./takes.js";
import { switchTheme, theme } from "./theme.js";
import { Waveform } from "./waveform.js";

const VARIATIONS = 8;
const NUDGE = { small: 0.1, large: 1 }; // seconds that an arrow key moves

/** What is open: a job, and which of its clips. @type {{job: any, index: number} | null} */
let open = null;
/** What is held to compare with, and which of the two is heard. */
let held = null;
let side = "A";
/** The clip that side A was, while B is heard. */
let other = null;

export const player = new Player();
const jobs = new Jobs();
const waveform = new Waveform($("#scope"), { onSeek: seek, onRegion: chooseRegion });
const stage = new Stage(player, waveform);
const takes = new Takes($("#takes"), (index) => show(open.job, index, { play: true }));
const form = new Form({ onModel: changeModel });
const history = new History({ onOpen: openJob, onFavourite: toggleFavourite });

// ---- what is open ----

/** Shows a clip, and plays it. */
function show(job, index, { play = false, samePlace = false } = {}) {
  const isSame = open?.job.id === job.id && open.index === index;
  open = { job, index };
  history.markOpen(job.id);
  const clip = job.clips.find((one) => one.index === index);
  if (!isSame || player.sound?.key !== keyOf(job.id, index)) {
    if (!samePlace) stage.showRegion(null);
    const sound = clip ? loaded(job.id, index) : null;
    player.open(sound, { play, samePlace });
    waveform.show(sound, { peaks: clip?.peaks, seconds: clip?.seconds });
    if (samePlace && player.region) stage.showRegion(player.region);
  } else if (play) player.play();
  refresh();
}

/** Brings the middle of the page up to date with the job that is open. */
function refresh() {
  stage.show(open?.job || null, open?.index || 0);
  stage.enable();
  takes.show(open?.job || null, open?.index || 0);
  stage.showTransport();
}

async function openJob(job, { play = true } = {}) {
  if (play) player.unlock(job.clips[0]?.sample_rate);
  let whole = job;
  const isBrief = job.clips.some((clip) => !clip.peaks || !clip.recipe);
  if (isOver(job) && isBrief) whole = await tried(() => api.getJob(job.id));
  if (!whole) return;
  Object.assign(job, whole);
  leaveB();
  show(job, 0, { play: play && job.clips.length > 0 });
  const first = job.clips[0];
  form.restore(job.request, first ? first.seed : job.request.seed);
}

/** What work gives, or null after its error was shown. @template T */
async function tried(work, place) {
  try {
    return await work();
  } catch (error) {
    showError(error, place);
    return null;
  }
}

// ---- making ----

/** Sends a request, and opens its job. */
async function submit(job, file, place) {
  clearErrors();
  player.unlock(form.model.sample_rate);
  document.body.classList.add("sending");
  const made = await tried(() => api.submit(job, file), place);
  document.body.classList.remove("sending");
  if (!made) return;
  leaveB();
  jobs.track(made);
  history.upsert(made);
  show(made, 0);
  announce("Making it");
  if (isOver(made)) refresh();
}

function generate(count) {
  clearErrors();
  const asked = form.read();
  if (!asked) return;
  if (count) asked.job.variations = count;
  return submit(asked.job, asked.file);
}

/** What an edit of the open clip asks for: the prompt and settings as they are, from that clip. */
function edit(fields, place) {
  clearErrors();
  const asked = form.read();
  if (!asked || !open) return;
  const { seconds, strength, init, variations, ...job } = asked.job;
  const clip = { job: open.job.id, clip: open.index };
  return submit({ ...job, init: clip, ...fields }, null, place);
}

const EDITS = {
  replace() {
    const region = player.region;
    if (!region) return announce("Choose a part first");
    return edit({ replace: [[round(region.start), round(region.end)]] }, "replace");
  },
  extend() {
    const seconds = numberIn("extend-by");
    if (!(seconds > 0)) return showError(new Error("Give how many seconds more."), "extend");
    return edit({ [$("#extend-where").value]: seconds }, "extend");
  },
  loop() {
    const asked = form.read();
    if (!asked) return;
    const [bars, bpm] = [numberIn("bars"), numberIn("bpm")];
    const job = { ...asked.job, loop: true };
    if (bars) job.bars = bars;
    if (bpm) job.bpm = bpm;
    if (bars && bpm) delete job.seconds; // bars at a tempo are a length
    player.setLooping(true);
    return submit(job, asked.file, "loop");
  },
  more() {
    if (!open || !stage.clip) return;
    const { seed, variations, ...request } = asAsked(open.job.request);
    return submit({ ...request, model: open.job.model, variations: VARIATIONS }, null);
  },
};

const round = (seconds) => Math.round(seconds * 1000) / 1000;

/** A request without what was not asked for. */
function asAsked(request) {
  const given = ([, value]) => value !== null && !(Array.isArray(value) && !value.length);
  return Object.fromEntries(Object.entries(request).filter(given));
}

async function cancel() {
  if (!open || isOver(open.job)) return;
  await tried(() => api.remove(open.job.id));
}

/** What happens to a job that waits or runs. */
jobs.addEventListener("change", ({ detail: { job, kind, data } }) => {
  history.upsert(job);
  if (open?.job.id !== job.id) return;
  const { index } = open;
  const isDecoding = (kind === "stage" || kind === "step") && data.stage === "decode";
  if ((isDecoding || kind === "block") && data.clip === index) listenIn(job, index);
  if (kind === "clip" && data.index === index) finished(job, data);
  if (kind === "failed") showBanner(job.error?.message || "It failed.");
  if (kind === "lost") showBanner("The server was stopped before this was made; ask again.");
  if (kind === "cancelled") announce("Cancelled");
  refresh();
});

/** Plays a clip while it is decoded. */
function listenIn(job, index) {
  const key = keyOf(job.id, index);
  if (player.sound?.key === key) return;
  const sound = streamed(job.id, index);
  waveform.show(sound, {});
  player.open(sound, { play: true });
}

function finished(job, clip) {
  form.showSeed(clip.seed);
  announce(`Done: ${job.request.prompt}`);
  // A stream cannot know how far a clip that is too loud must be turned down; the file does.
  const isTurnedDown = clip.levels?.peak_dbfs > 0;
  if (isTurnedDown) forget(job.id, clip.index);
  const sound = loaded(job.id, clip.index);
  if (player.sound?.key === sound.key) return;
  waveform.show(sound, { peaks: clip.peaks, seconds: clip.seconds });
  player.open(sound, { play: true });
}

// ---- listening ----

function seek(seconds) {
  const { region } = player;
  if (region && (seconds < region.start || seconds > region.end)) chooseRegion(null);
  player.seek(seconds);
}

function chooseRegion(region) {
  player.setRegion(region);
  stage.showRegion(region);
  if (region) player.seek(region.start);
  announce(region ? `Part from ${region.start.toFixed(2)} to ${region.end.toFixed(2)} seconds` : "No part");
}

/** One edge of the part at the place that sounds. @param {"start" | "end"} edge */
function markEdge(edge) {
  if (!player.sound) return;
  const at = player.position;
  const before = player.region || { start: 0, end: waveform.seconds };
  const region = { ...before, [edge]: at };
  if (region.end <= region.start) region[edge === "start" ? "end" : "start"] = edge === "start" ? waveform.seconds : 0;
  if (region.end - region.start > 0.02) {
    player.setRegion(region);
    stage.showRegion(region);
    announce(`Part from ${region.start.toFixed(2)} to ${region.end.toFixed(2)} seconds`);
  }
}

function hold() {
  if (!stage.clip && !held) return;
  held = held ? null : { job: open.job, index: open.index };
  side = "A";
  stage.showSides(side, !!held);
  announce(held ? "Held as B. Open another clip, and press x to hear one or the other." : "B let go");
}

/** Hears the other of two clips at the same place. */
function swap() {
  if (!held) return;
  const [from, to] = side === "A" ? [open, held] : [open, other];
  side = side === "A" ? "B" : "A";
  if (side === "B") other = from;
  show(to.job, to.index, { samePlace: true });
  stage.showSides(side, true);
  announce(`${side}: ${to.job.request.prompt}`);
}

/** Another clip is opened: it becomes A. */
function leaveB() {
  side = "A";
  other = null;
  stage.showSides(side, !!held);
}

// ---- keeping ----

async function toggleFavourite(job) {
  const changed = await tried(() => api.setFavourite(job.id, !job.favourite));
  if (!changed) return;
  job.favourite = changed.favourite;
  history.upsert(job);
  refresh();
  announce(job.favourite ? "A favourite" : "No favourite any more");
}

/** Takes a job away; for a moment that can be taken back. */
function removeOpen() {
  if (!open) return;
  const { job } = open;
  if (!isOver(job)) return cancel();
  const next = history.neighbour(1) || history.neighbour(-1);
  history.hide(job.id);
  if (held?.job.id === job.id) hold();
  if (next && next.id !== job.id) openJob(next, { play: false });
  else close();
  const remove = () => api.remove(job.id, true).catch(() => history.hide(job.id, false));
  toast("Removed", {
    label: "Undo",
    act: () => {
      history.hide(job.id, false);
      openJob(job, { play: false });
    },
    otherwise: remove,
  });
}

addEventListener("pagehide", dismissToast); // what waited for an undo happens now

function close() {
  open = null;
  stage.showRegion(null);
  player.open(null);
  waveform.show(null);
  history.markOpen(null);
  refresh();
}

function startFromOpen() {
  if (!open || !stage.clip || !form.can("init")) return;
  const name = `${open.job.request.prompt} (${stage.clip.seed})`;
  form.startFromClip({ job: open.job.id, clip: open.index, name });
  $("#strength").focus();
}

const copyCommand = () => stage.clip && copy(stage.clip.command, "command line");
const copyRecipe = () => stage.clip && copy(JSON.stringify(stage.clip.recipe, null, 2), "recipe");

function openNeighbour(step) {
  const next = history.neighbour(step);
  if (next) openJob(next);
}

function chooseTake(index) {
  const job = open?.job;
  if (job?.clips.some((clip) => clip.index === index)) show(job, index, { play: true });
}

// ---- models and keys ----

function changeModel(model, isChosen) {
  stage.allow(model);
  if (isChosen && !model.loaded) tried(() => api.loadModel(model.id));
}

api.onKeyNeeded(() => (keyAsked ||= askForKey().finally(() => (keyAsked = null))));
let keyAsked = null;

function askForKey() {
  const dialog = $("#login");
  dialog.showModal();
  return new Promise((resolve) => {
    $("#login-form").onsubmit = async (event) => {
      event.preventDefault();
      try {
        await api.login($("#key").value);
        $("#key").value = "";
        clearErrors();
        dialog.close();
        resolve();
      } catch (error) {
        showError(error, "key");
      }
    };
    // without the key there is nothing to see
    dialog.oncancel = (event) => event.preventDefault();
  });
}

// ---- keys, presses, files ----

const click = (id) => () => $(`#${id}`).click();
const focusOn = (id) => () => {
  $(`#${id}`).focus();
  $(`#${id}`).select?.();
};

function escape() {
  if (open && !isOver(open.job)) return cancel();
  if (player.region) return chooseRegion(null);
  document.activeElement?.blur();
}

listen([
  { keys: "Ctrl+Enter g", does: "Generate", act: () => generate(), everywhere: true },
  { keys: "Ctrl+Shift+Enter", does: "Eight takes at once", act: () => generate(VARIATIONS), everywhere: true },
  { keys: "Escape", does: "Cancel, or let go of the part", act: escape, everywhere: true },
  { keys: "Space", does: "Play or pause", act: () => player.toggle() },
  { keys: "ArrowLeft ArrowRight", does: "A tenth of a second back or on", act: (e) => nudge(e, NUDGE.small) },
  { keys: "Shift+ArrowLeft Shift+ArrowRight", does: "A second back or on", act: (e) => nudge(e, NUDGE.large) },
  { keys: "Home", does: "To the beginning", act: () => seek(player.region?.start || 0) },
  { keys: "l", does: "Repeat", act: click("loop") },
  { keys: "[", does: "The part begins here", act: () => markEdge("start") },
  { keys: "]", does: "The part ends here", act: () => markEdge("end") },
  { keys: "r", does: "Replace the part", act: () => form.can("replace") && EDITS.replace() },
  { keys: "e", does: "Go on after the end", act: () => form.can("extend") && stage.clip && EDITS.extend() },
  { keys: "o", does: "Make a loop", act: () => form.can("loop") && EDITS.loop() },
  { keys: "v", does: "Eight variations of this", act: () => EDITS.more() },
  { keys: "i", does: "Start from this clip", act: startFromOpen },
  { keys: "1 2 3 4 5 6 7 8", does: "Choose a take", act: (e) => chooseTake(Number(e.key) - 1) },
  { keys: "j k", does: "Next or previous in the history", act: (e) => openNeighbour(e.key === "j" ? 1 : -1) },
  { keys: "b", does: "Hold this clip as B", act: hold },
  { keys: "x", does: "Hear A or B at the same place", act: swap },
  { keys: "f", does: "Favourite", act: () => open && toggleFavourite(open.job) },
  { keys: "d", does: "Download as WAV", act: () => $("#downloads a[href]")?.click() },
  { keys: "c", does: "Copy the command line", act: copyCommand },
  { keys: "Delete", does: "Delete", act: removeOpen },
  { keys: "s", does: "Keep or roll the seed", act: () => form.toggleSeed() },
  { keys: "/", does: "To the prompt", act: focusOn("prompt") },
  { keys: "h", does: "Search the history", act: focusOn("search") },
  { keys: "m", does: "Sound off or on", act: () => (player.volume = player.volume ? 0 : 0.9) },
  { keys: "t", does: "Light or dark", act: switchTheme },
  { keys: "?", does: "This list", act: click("keys-button") },
]);

function nudge(event, seconds) {
  seek(player.position + (event.key === "ArrowLeft" ? -seconds : seconds));
}

const on = (id, act, kind = "click") => $(`#${id}`).addEventListener(kind, act);

on("composer", (event) => {
  event.preventDefault();
  generate();
}, "submit");
on("cancel", cancel);
on("play", () => player.toggle());
on("to-start", () => seek(player.region?.start || 0));
on("loop", () => player.setLooping(!player.isLooping));
on("volume", (event) => (player.volume = Number(event.target.value)), "input");
on("pin", hold);
for (const name of ["A", "B"]) on(`side-${name.toLowerCase()}`, () => side !== name && swap());
on("favourite", () => toggleFavourite(open.job));
on("delete", removeOpen);
on("start-from", startFromOpen);
on("copy-command", copyCommand);
on("copy-recipe", copyRecipe);
on("theme-button", switchTheme);
on("keys-button", () => $("#keys").showModal());
on("words-button", () => $("#words").showModal());
for (const id of ["region-start", "region-end"]) on(id, () => chooseRegion(stage.readRegion()), "change");
for (const edited of $$("[data-edit]")) {
  edited.addEventListener("submit", (event) => {
    event.preventDefault();
    EDITS[edited.dataset.edit]();
  });
}
for (const dialog of $$("dialog:not(#login)")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
}

theme.addEventListener("change", () => {
  waveform.redraw();
  takes.redraw();
  history.redraw();
});

const carriesFile = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
addEventListener("dragover", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  $("#drop").hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("#drop").hidden = true;
});
addEventListener("drop", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  $("#drop").hidden = true;
  clearErrors();
  form.startFromFile(event.dataTransfer.files[0] || null);
});

// ---- pictures while it plays ----

let isDrawing = false;
function draw() {
  player.count();
  stage.showPosition();
  isDrawing = player.isPlaying;
  if (isDrawing) requestAnimationFrame(draw);
}
player.addEventListener("state", () => {
  if (!player.isPlaying || isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(draw);
});

// ---- the beginning ----

async function begin() {
  const [info, models] = await Promise.all([api.info(), api.models()]);
  stage.formats = info.formats;
  form.fill(models, info);
  refresh();
  document.body.classList.add("ready");
  performance.mark("interactive");
  await history.load();
  for (const job of history.jobs) jobs.track(job);
  if (!open && history.jobs.length) await openJob(history.jobs[0], { play: false });
}

async function start() {
  try {
    await begin();
  } catch (error) {
    if (!(error instanceof api.Unreachable)) return showBanner(error.message);
    api.connection.addEventListener("back", start, { once: true });
  }
}

// After a loss the list may have changed; on the first visit `start` waits for the server itself.
api.connection.addEventListener("back", () => {
  if (document.body.classList.contains("ready")) history.load().catch(() => {});
});

if (document.activeElement === document.body && matchMedia("(hover: hover)").matches) $("#prompt").focus();
start();
