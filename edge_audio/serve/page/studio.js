// What is open, and what follows from working on it: making, hearing, changing, comparing, keeping.

import * as api from "./api.js";
import { $ } from "./dom.js";
import { announce, clearErrors, copy, showBanner, showError, toast } from "./feedback.js";
import { Form, numberIn } from "./form.js";
import { History } from "./history.js";
import { Jobs, isOver } from "./jobs.js";
import { Player } from "./player.js";
import { forget, keyOf, loaded, streamed } from "./sounds.js";
import { Stage } from "./stage.js";
import { Takes } from "./takes.js";
import { Waveform } from "./waveform.js";

/** Clips that "more like this" makes. */
export const VARIATIONS = 8;

/** What is open: a job, and which of its clips. @type {{job: any, index: number} | null} */
let open = null;
/** What is held to compare with, and which of the two is heard. */
let held = null;
let side = "A";
/** The clip that side A was, while B is heard. */
let other = null;

export const player = new Player();
export const jobs = new Jobs();
export const waveform = new Waveform($("#scope"), { onSeek: seek, onRegion: chooseRegion });
export const stage = new Stage(player, waveform);
export const takes = new Takes($("#takes"), (index) => show(open.job, index, { play: true }));
export const form = new Form({ onModel: changeModel });
export const history = new History({ onOpen: openJob, onFavourite: toggleFavourite });

// ---- what is open ----

/** Shows a clip, and plays it. */
function show(job, index, { play = false, samePlace = false } = {}) {
  const isSame = open?.job.id === job.id && open.index === index;
  open = { job, index };
  history.markOpen(job.id);
  document.title = `${job.request.prompt || "no prompt"} · edge-audio`;
  const clip = job.clips.find((one) => one.index === index);
  if (clip) form.showSeed(clip.seed);
  if (!isSame || player.sound?.key !== keyOf(job.id, index)) {
    if (!samePlace) stage.showRegion(null);
    const sound = clip ? loaded(job.id, index) : null;
    player.open(sound, { play, samePlace });
    const isEmpty = !clip && isOver(job);
    waveform.show(sound, { peaks: clip?.peaks, seconds: clip?.seconds, isEmpty });
    if (samePlace && player.region) stage.showRegion(player.region);
  } else if (play) player.play();
  refresh();
}

/** Brings the middle of the page up to date with the job that is open. */
export function refresh() {
  stage.show(open?.job || null, open?.index || 0);
  stage.enable();
  takes.show(open?.job || null, open?.index || 0);
  stage.showTransport();
}

export async function openJob(job, { play = true } = {}) {
  if (play) player.unlock(job.clips[0]?.sample_rate);
  let whole = job;
  const isBrief = job.clips.some((clip) => !clip.peaks || !clip.recipe);
  if (isOver(job) && isBrief) whole = await tried(() => api.getJob(job.id));
  if (!whole) return;
  Object.assign(job, whole);
  leaveB();
  show(job, 0, { play: play && job.clips.length > 0 });
  // who opens it wants to go on from it; else what was being written stays
  if (play) form.restore(job.request, job.clips[0]?.seed ?? job.request.seed);
}

/** What work gives, or null after its error was shown. @template T */
export async function tried(work, place) {
  try {
    return await work();
  } catch (error) {
    showError(error, place);
    return null;
  }
}

function changeModel(model, isChosen) {
  stage.allow(model);
  if (isChosen && !model.loaded) tried(() => api.loadModel(model.id));
}

// ---- making ----

/** Sends a request, and opens its job. */
async function submit(job, file, place) {
  clearErrors();
  player.unlock(form.model.sample_rate);
  $("#composer").setAttribute("aria-busy", "true");
  const made = await tried(() => api.submit(job, file), place);
  $("#composer").removeAttribute("aria-busy");
  if (!made) return;
  leaveB();
  jobs.track(made);
  history.upsert(made);
  show(made, 0);
  announce("Making it");
  if (isOver(made)) refresh();
}

export function generate(count) {
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

export const EDITS = {
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
    const { seed, variations, init, ...request } = asAsked(open.job.request);
    const job = { ...request, model: open.job.model, variations: VARIATIONS };
    // an uploaded file is not kept by the server: it must be here still
    const file = init?.file && form.file?.name === init.file ? form.file : null;
    if (init?.file && !file) return showBanner(`Drop ${init.file} again: this began with it.`);
    return submit(init?.job ? { ...job, init } : job, file);
  },
};

const round = (seconds) => Math.round(seconds * 1000) / 1000;

/** A request without what was not asked for. */
function asAsked(request) {
  const given = ([, value]) => value !== null && !(Array.isArray(value) && !value.length);
  return Object.fromEntries(Object.entries(request).filter(given));
}

export async function cancel() {
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

export function seek(seconds) {
  const { region } = player;
  if (region && (seconds < region.start || seconds > region.end)) chooseRegion(null);
  player.seek(seconds);
}

export function chooseRegion(region) {
  player.setRegion(region);
  stage.showRegion(region);
  if (region) player.seek(region.start);
  announce(
    region ? `Part from ${region.start.toFixed(2)} to ${region.end.toFixed(2)} seconds` : "No part",
  );
}

/** One edge of the part at the place that sounds. @param {"start" | "end"} edge */
export function markEdge(edge) {
  if (!player.sound) return;
  const at = player.position;
  const before = player.region || { start: 0, end: waveform.seconds };
  const region = { ...before, [edge]: at };
  if (region.end <= region.start)
    region[edge === "start" ? "end" : "start"] = edge === "start" ? waveform.seconds : 0;
  if (region.end - region.start > 0.02) {
    player.setRegion(region);
    stage.showRegion(region);
    announce(`Part from ${region.start.toFixed(2)} to ${region.end.toFixed(2)} seconds`);
  }
}

export function hold() {
  if (!stage.clip && !held) return;
  held = held ? null : { job: open.job, index: open.index };
  side = "A";
  stage.showSides(side, !!held);
  announce(
    held ? "Held as B. Open another clip, and press x to hear one or the other." : "B let go",
  );
}

/** Hears the other of two clips at the same place. */
export function swap() {
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

export async function toggleFavourite(job) {
  const changed = await tried(() => api.setFavourite(job.id, !job.favourite));
  if (!changed) return;
  job.favourite = changed.favourite;
  history.upsert(job);
  refresh();
  announce(job.favourite ? "A favourite" : "No favourite any more");
}

/** Takes a job away; for a moment that can be taken back. */
export function removeOpen() {
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

function close() {
  open = null;
  stage.showRegion(null);
  player.open(null);
  waveform.show(null);
  history.markOpen(null);
  refresh();
}

export function startFromOpen() {
  if (!open || !stage.clip || !form.can("init")) return;
  const name = `${open.job.request.prompt} (${stage.clip.seed})`;
  form.startFromClip({ job: open.job.id, clip: open.index, name });
  $("#strength").focus();
}

export const copyCommand = () => stage.clip && copy(stage.clip.command, "command line");
export const copyRecipe = () =>
  stage.clip && copy(JSON.stringify(stage.clip.recipe, null, 2), "recipe");

export function openNeighbour(step) {
  const next = history.neighbour(step);
  if (next) openJob(next);
}

export function chooseTake(index) {
  const job = open?.job;
  if (job?.clips.some((clip) => clip.index === index)) show(job, index, { play: true });
}

/** Keeps the open clip or not. */
export const toggleOpenFavourite = () => open && toggleFavourite(open.job);

/** Hears side A or B. @param {"A" | "B"} name */
export const hearSide = (name) => name !== side && swap();

/** Cancels what is on its way; else lets go of the part; else of the focus. */
export function escape() {
  if (open && !isOver(open.job)) return cancel();
  if (player.region) return chooseRegion(null);
  document.activeElement?.blur();
}

/** Shows what was made last. */
export async function openFirst() {
  for (const job of history.jobs) jobs.track(job);
  if (!open && history.jobs.length) await openJob(history.jobs[0], { play: false });
}
