// Forms made from the server's list of options.
// @ts-check
import { h } from "./dom.js";
import { help, t, title } from "./i18n.js";
import { options } from "./store.js";

export const SLIDERS = ["expressiveness", "head_motion", "blink_rate", "gaze"];
const LEFT_OUT = new Set([...SLIDERS, "style", "model", "seed", "sample_rate", "sign_key", "timestamp_url", "width", "height"]);

/** @param {string} name */
export const option = (name) => options.settings.find((/** @type {any} */ o) => o.name === name);

/** @param {any} o @param {Record<string, any>} values @param {(name: string, value: any) => void} changed */
export function slider(o, values, changed) {
  const value = values[o.name] ?? o.default ?? o.shown ?? 1;
  const output = h("output", {}, Number(value).toFixed(2));
  const input = h("input", { type: "range", min: o.low, max: o.high, step: 0.05, value, title: help(o), "aria-label": title(o.name),
    oninput: () => { output.textContent = Number(input.value).toFixed(2); changed(o.name, Number(input.value)); } });
  return h("label", { class: "slider" }, h("span", {}, title(o.name)), output, input);
}

/** @param {any} o @param {Record<string, any>} values @param {(name: string, value: any) => void} changed */
export function field(o, values, changed) {
  const value = values[o.name] ?? o.default;
  const id = `o-${o.name}`;
  const given = (/** @type {any} */ got) => changed(o.name, got === "" || got === null ? undefined : got);
  if (o.type === "boolean") {
    const box = h("input", { type: "checkbox", id, checked: Boolean(value), onchange: () => given(box.checked) });
    return h("label", { class: "field check", for: id, title: help(o) }, box, title(o.name));
  }
  /** @type {any} */ let input;
  if (o.choices.length) {
    input = h("select", { id, onchange: () => given(input.value) }, o.choices.map((/** @type {string} */ c) => h("option", { value: c, selected: c === value }, t(c))));
  } else {
    const number = o.type !== "string";
    const hint = o.default ?? (o.shown ?? "");
    input = h("input", { id, type: number ? "number" : "text", value: values[o.name] ?? "", placeholder: String(hint), min: o.low, max: o.high, step: o.type === "integer" ? 1 : "any",
      onchange: () => given(input.value === "" ? "" : number ? Number(input.value) : input.value) });
  }
  const range = o.low !== null && o.low !== undefined && o.high ? ` (${o.low}–${o.high}${o.unit ? ` ${o.unit}` : ""})` : "";
  return h("label", { class: "field", for: id }, h("span", {}, title(o.name), h("span", { class: "hint" }, range)), input, h("span", { class: "hint" }, help(o)));
}

/** All options of the chosen model besides the sliders, by group. @param {Record<string, any>} values @param {(name: string, value: any) => void} changed */
export function groups(values, changed) {
  const model = options.models.find((/** @type {any} */ m) => m.name === (values.model ?? "preview"));
  const used = options.settings.filter((/** @type {any} */ o) => !LEFT_OUT.has(o.name) && o.used_by.includes(model.engine));
  const names = [...new Set(used.map((/** @type {any} */ o) => o.group))];
  return names.map((name) => h("details", {}, h("summary", {}, t(String(name))),
    h("fieldset", { "aria-label": t(String(name)) }, used.filter((/** @type {any} */ o) => o.group === name).map((/** @type {any} */ o) => field(o, values, changed)))));
}
