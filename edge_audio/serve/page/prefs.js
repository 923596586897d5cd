// What the page remembers of a person's choices, in this browser only.

const PREFIX = "edge-audio.";

/** @param {string} name @param {any} fallback */
export function pref(name, fallback) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback; // storage is off, or holds something else
  }
}

/** @param {string} name @param {any} value */
export function setPref(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // storage is off or full: the choice lasts as long as the page
  }
}
