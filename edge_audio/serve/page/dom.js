// Small helpers for making and finding elements, and for telling numbers.

/** @param {string} selector @param {ParentNode} [root] @returns {any} the first match */
export const $ = (selector, root = document) => root.querySelector(selector);

/** @param {string} selector @param {ParentNode} [root] @returns {any[]} all matches */
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/**
 * An element. Text always becomes a text node, never HTML: prompts come from strangers.
 * @param {string} tag such as "button.quiet.small"
 * @param {Record<string, any>} [props] attributes; functions are listeners ("onclick"); false and
 *   null leave an attribute out
 * @param {...(Node | string | number | null | false)} children
 * @returns {any}
 */
export function el(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null && child !== false).map(textOrNode));
  return node;
}

const textOrNode = (child) => (child instanceof Node ? child : String(child));

/** An icon of the sprite in index.html. @param {string} name */
export function icon(name) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(ns, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** @param {number} seconds @returns {string} "0:03.27" */
export function clock(seconds) {
  const hundredths = Math.max(0, Math.round(seconds * 100));
  const minutes = Math.floor(hundredths / 6000);
  return `${minutes}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, "0")}`;
}

/** A number without needless digits. @param {number} value @param {number} [digits] */
export const short = (value, digits = 2) => String(Number(value.toFixed(digits)));

/** @param {number} created seconds since 1970 @returns {string} "4 min ago" */
export function ago(created) {
  const passed = Date.now() / 1000 - created;
  if (passed < 45) return "just now";
  if (passed < 3600) return `${Math.max(1, Math.round(passed / 60))} min ago`;
  if (passed < 86400) return `${Math.round(passed / 3600)} h ago`;
  return new Date(created * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

/**
 * Enables or disables a control. One that has the focus hands it on, rather than leaving a keyboard
 * nowhere.
 * @param {any} control @param {boolean} isOn
 */
export function enable(control, isOn) {
  if (!isOn && document.activeElement === control) $("#title").focus();
  control.disabled = !isOn;
}

/**
 * Calls `work` once things have been quiet for a while.
 * @param {() => void} work @param {number} milliseconds
 */
export function debounced(work, milliseconds) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
}
