// Where the page begins: presses, files and keys meet the studio; then the server is asked.

import * as api from "./api.js";
import { $, $$ } from "./dom.js";
import { clearErrors, dismissToast, showBanner, showError } from "./feedback.js";
import { SHORTCUTS } from "./keys.js";
import { listen } from "./shortcuts.js";
import * as studio from "./studio.js";
import { form, history, player, stage, takes, waveform } from "./studio.js";
import { switchTheme, theme } from "./theme.js";

// ---- presses and keys ----

listen(SHORTCUTS);

const on = (id, act, kind = "click") => $(`#${id}`).addEventListener(kind, act);

on(
  "composer",
  (event) => {
    event.preventDefault();
    studio.generate();
  },
  "submit",
);
on("cancel", studio.cancel);
on("play", () => player.toggle());
on("to-start", () => studio.seek(player.region?.start || 0));
on("loop", () => player.setLooping(!player.isLooping));
on("volume", (event) => (player.volume = Number(event.target.value)), "input");
on("pin", studio.hold);
for (const name of ["A", "B"]) on(`side-${name.toLowerCase()}`, () => studio.hearSide(name));
on("favourite", studio.toggleOpenFavourite);
on("delete", studio.removeOpen);
on("start-from", studio.startFromOpen);
on("copy-command", studio.copyCommand);
on("copy-recipe", studio.copyRecipe);
on("theme-button", switchTheme);
on("keys-button", () => $("#keys").showModal());
on("words-button", () => $("#words").showModal());
for (const id of ["region-start", "region-end"])
  on(id, () => studio.chooseRegion(stage.readRegion()), "change");
for (const edited of $$("[data-edit]")) {
  edited.addEventListener("submit", (event) => {
    event.preventDefault();
    studio.EDITS[edited.dataset.edit]();
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

addEventListener("pagehide", dismissToast); // what waited for an undo happens now

// ---- files that are dropped ----

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

// ---- the key ----

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
  studio.refresh();
  document.body.classList.add("ready");
  performance.mark("interactive");
  await history.load();
  await studio.openFirst();
  performance.mark("loaded");
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

if (document.activeElement === document.body && matchMedia("(hover: hover)").matches)
  $("#prompt").focus();
start();
