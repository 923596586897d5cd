// What was made: a list with search and favourites, newest first, filled page by page.

import { getJob, listJobs } from "./api.js";
import { $, ago, clock, debounced, el, icon } from "./dom.js";
import { thumbnail } from "./draw.js";
import { announce } from "./feedback.js";
import { isOver, progressOf } from "./jobs.js";

const PAGE = 30;
const STATES = { failed: "failed", cancelled: "cancelled", lost: "lost when the server stopped" };

export class History {
  /** @type {any[]} as they are shown */
  jobs = [];
  /** @type {string | null} */
  openId = null;
  #rows = new Map();
  #asked = null;
  #hidden = new Set();

  /**
   * @param {{onOpen: (job: any) => void, onFavourite: (job: any) => void}} listeners
   */
  constructor(listeners) {
    this.listeners = listeners;
    this.list = $("#history");
    // outlines are asked for when their entry comes into view
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) this.#outline(entry.target);
    });
    const again = () => this.load().catch(() => {}); // the connection's loss is told elsewhere
    $("#search").addEventListener("input", debounced(again, 180));
    $("#only-favourites").addEventListener("change", again);
    $("#history-more").addEventListener("click", () => this.load(true).catch(() => {}));
    setInterval(() => document.hidden || this.render(), 60_000); // "4 min ago" grows old
  }

  get isFiltered() {
    return !!$("#search").value.trim() || $("#only-favourites").checked;
  }

  /** The first page, or the next one. */
  async load(more = false) {
    this.#asked?.abort();
    const asked = (this.#asked = new AbortController());
    const filter = {
      query: $("#search").value.trim(),
      favourite: $("#only-favourites").checked,
      limit: PAGE,
      before: more ? this.jobs.at(-1)?.id : "",
    };
    let page;
    try {
      page = await listJobs(filter, asked.signal);
    } catch (error) {
      if (error.name === "AbortError") return; // a newer search is on its way
      throw error;
    }
    const known = new Map(this.jobs.map((job) => [job.id, job]));
    const jobs = page.jobs.map((job) => merged(known.get(job.id), job));
    this.jobs = more ? [...this.jobs, ...jobs] : jobs;
    $("#history-more").hidden = !page.more;
    this.render();
    if (this.isFiltered) announce(`${this.jobs.length} found`);
  }

  /** A job that is new or has changed. */
  upsert(job) {
    const at = this.jobs.findIndex((one) => one.id === job.id);
    if (at >= 0) this.jobs[at] = job;
    else if (!this.isFiltered) this.jobs.unshift(job);
    else return;
    if (at >= 0) this.#fill(this.#rows.get(job.id), job);
    else this.render();
  }

  /** Out of sight: it is being removed, unless that is taken back. */
  hide(id, isHidden = true) {
    if (isHidden) this.#hidden.add(id);
    else this.#hidden.delete(id);
    this.render();
  }

  /** @param {string | null} id */
  markOpen(id) {
    this.openId = id;
    for (const [key, row] of this.#rows) {
      $(".entry", row).setAttribute("aria-current", String(key === id));
    }
  }

  /** The entry after (1) or before (-1) the open one. */
  neighbour(step) {
    const jobs = this.shown;
    const at = jobs.findIndex((job) => job.id === this.openId);
    return jobs[at < 0 ? 0 : at + step] || null;
  }

  get shown() {
    return this.jobs.filter((job) => !this.#hidden.has(job.id));
  }

  render() {
    const rows = new Map();
    for (const job of this.shown) {
      const row = this.#rows.get(job.id) || this.#row();
      rows.set(job.id, row);
      this.#fill(row, job);
    }
    for (const [id, row] of this.#rows) if (!rows.has(id)) this.watcher.unobserve(row);
    this.#rows = rows;
    this.list.replaceChildren(...rows.values());
    $("#history-empty").hidden = rows.size > 0;
    $("#history-empty").textContent = this.isFiltered
      ? "Nothing found."
      : "What you make is kept here.";
    this.markOpen(this.openId);
  }

  redraw() {
    for (const row of this.#rows.values()) draw(row);
  }

  #row() {
    const row = el("li.row");
    row.append(
      el(
        "button.entry",
        { type: "button", onclick: () => this.listeners.onOpen(row.job) },
        el("span.words"),
        el("canvas", { "aria-hidden": "true" }),
        el("span.when"),
      ),
      el(
        "button.quiet.round.star",
        { type: "button", onclick: () => this.listeners.onFavourite(row.job) },
        icon("star"),
      ),
    );
    this.watcher.observe(row);
    return row;
  }

  #fill(row, job) {
    row.job = job;
    const first = job.clips[0];
    $(".words", row).textContent = job.request.prompt || "(no prompt)";
    $(".when", row).textContent = facts(job, first);
    row.classList.toggle("active", !isOver(job));
    row.classList.toggle("empty", isOver(job) && !first);
    const star = $(".star", row);
    star.setAttribute("aria-pressed", String(!!job.favourite));
    star.setAttribute("aria-label", `Favourite: ${job.request.prompt || "no prompt"}`);
    if (first?.peaks || first?.thumb) draw(row);
  }

  async #outline(row) {
    const first = row.job?.clips[0];
    if (!first || first.peaks || first.thumb || row.asked === row.job.id) return draw(row);
    row.asked = row.job.id;
    try {
      const whole = await getJob(row.job.id);
      row.job.clips = whole.clips;
      draw(row);
    } catch {
      // an entry without a picture is an entry still
    }
  }
}

const draw = (row) => {
  const first = row.job?.clips[0];
  const outline = first?.peaks || first?.thumb;
  if (outline && row.isConnected) thumbnail($("canvas", row), outline);
};

/** What is known of a job already is more than a list tells: the outlines. */
function merged(known, job) {
  if (!known) return job;
  const clips = job.clips.map((clip, i) => ({ ...known.clips[i], ...clip }));
  return Object.assign(known, job, { clips });
}

function facts(job, first) {
  if (!isOver(job)) return progressOf(job).text;
  const takes = job.clips.length > 1 ? `${job.clips.length} takes` : "";
  const length = first ? clock(first.seconds) : "";
  return [STATES[job.state], length, takes, ago(job.created)].filter(Boolean).join(" · ");
}
