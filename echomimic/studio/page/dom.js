// Small helpers: elements, messages, times.
// @ts-check
import { post } from "./api.js";
import { remark, t } from "./i18n.js";

/**
 * An element. Properties beginning with "on" are listeners, "data" and "style" are objects; null children are left out.
 * @param {string} tag @param {Record<string, any>} [props] @param {...any} children @returns {any}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key === "style") for (const [name, text] of Object.entries(value)) element.style.setProperty(name, String(text));
    else if (key in element && !key.startsWith("aria") && key !== "list" && key !== "for") /** @type {any} */ (element)[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * Puts other children into `parent`; what had the focus there, or was unfolded, has it and is so again.
 * @param {Element} parent @param {...any} children
 */
export function fill(parent, ...children) {
  const at = focusable(parent).indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const key = at < 0 ? "" : label(/** @type {HTMLElement} */ (document.activeElement));
  const unfolded = new Set([...parent.querySelectorAll("details[open] > summary")].map((one) => one.textContent));
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  for (const one of parent.querySelectorAll("details > summary")) if (unfolded.has(one.textContent)) /** @type {HTMLDetailsElement} */ (one.parentElement).open = true;
  if (at < 0) return;
  const now = focusable(parent);
  (now[at] && label(now[at]) === key ? now[at] : now.find((one) => label(one) === key) ?? now[Math.min(at, now.length - 1)])?.focus({ preventScroll: true });
}

/** @param {Element} parent */
const focusable = (parent) => /** @type {HTMLElement[]} */ ([...parent.querySelectorAll("a, button:not(:disabled), input, select, textarea, summary, canvas[tabindex]")]);
/** @param {HTMLElement} one */
const label = (one) => one.id || one.ariaLabel || one.textContent || "";

/** Tells people who do not see the page. @param {string} text */
export function announce(text) {
  const place = document.getElementById("announce");
  if (place) place.textContent = text;
}

/** Says something that goes away by itself, or when it is clicked; the same again is said once. @param {string} text @param {boolean} [fine] @param {any} [more] what can be done about it */
export function toast(text, fine = false, more = null) {
  const said = told(text), place = document.getElementById("toasts");
  for (const old of place?.children ?? []) if (old.firstChild?.textContent === said) old.remove();
  const shown = h("div", { class: fine ? "toast fine" : "toast", onclick: () => shown.remove() }, h("span", {}, said), more);
  place?.append(shown);
  setTimeout(() => shown.remove(), fine ? 4000 : 9000);
}

/** A message of the server as a sentence of the page: in the page's language where it is a usual one. @param {string} text */
export function told(text) { const known = remark(text); return known.charAt(0).toUpperCase() + known.slice(1); }

/** Runs `work`; what goes wrong is shown, not thrown. @template T @param {() => Promise<T>} work @returns {Promise<T | undefined>} */
export async function guarded(work) {
  try {
    return await work();
  } catch (error) {
    const order = /** @type {any} */ (error).action?.job;
    const fetchFiles = order && h("button", { class: "small", type: "button", onclick: () => void guarded(async () => { await post("jobs", order); location.hash = "#queue"; }) }, t("Fetch the files"));
    toast(error instanceof Error ? error.message : String(error), false, fetchFiles);
    return undefined;
  }
}

/** @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const text = parts.map((part) => String(part).padStart(2, "0"));
  return parts[0] ? `${parts[0]}:${text[1]}:${text[2]}` : `${parts[1]}:${text[2]}`;
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
  return `${bytes < 10 && unit ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}
