// The bench: who speaks, what is said, how; a still that follows the sliders, a talk that plays while it is rendered.
// @ts-check
import * as api from "./api.js";
import { Recorder, closeCamera, openCamera, shoot } from "./capture.js";
import { announce, clock, fill, guarded, h, toast } from "./dom.js";
import { filesOf, kindOf, receive } from "./drop.js";
import { SLIDERS, field, groups, option, slider } from "./form.js";
import { t, title } from "./i18n.js";
import { makeScreen } from "./screen.js";
import { assets, bench, heard, listen, newestFirst, options, saveBench, status, takes } from "./store.js";
import { timeline } from "./timeline.js";

/** Cards that record or film: they are not drawn anew meanwhile. What ends it, by card. @type {Map<Element, () => void>} */
const held = new Map();

/** @param {Element} main @returns {() => void} */
export function show(main) {
  const parts = { portrait: h("section", { class: "card stack", "aria-label": t("Portrait") }), speech: h("section", { class: "card stack", "aria-label": t("Speech") }),
    screen: h("section", { class: "stack", "aria-label": t("Play") }), line: h("section", { class: "card stack", "aria-label": t("Timeline") }), motion: h("section", { class: "card stack", "aria-label": t("Motion") }) };
  fill(main, h("div", { class: "bench" }, h("div", { class: "column" }, parts.portrait, parts.speech), h("div", { class: "column middle" }, parts.screen, parts.line), h("div", { class: "column" }, parts.motion)));
  const screen = makeScreen(parts.screen);
  const drawLine = () => timeline(parts.line, takes.get(bench.take), screen);
  const drawSide = () => drawMotion(parts.motion, screen);
  const drawAll = () => { drawPortrait(parts.portrait); drawSpeech(parts.speech); drawSide(); screen.draw(); drawLine(); };
  const given = (/** @type {File} */ file, /** @type {import("./drop.js").Kind} */ kind) => {
    if (kind === "portrait") void usePortrait(parts.portrait, file, file.name);
    else if (kind === "motion") void useMotion(parts.motion, file, drawSide);
    else void giveSpeech(parts.speech, file, file.name);
  };
  passOn = given;
  const forgetDrops = receive(given), stopPaste = onPaste(given);
  const forget = listen((kind, value) => {
    if (kind === "loaded" || kind === "chosen") drawAll();
    if (kind === "asset") { drawPortrait(parts.portrait); drawSpeech(parts.speech); }
    if (kind === "take" && value.id === bench.take) { screen.take(value); drawLine(); }
    if (kind === "job" && value.take === bench.take) screen.job(value);
    if (kind === "opened") drawAll();
    if (kind === "hands" && value.id === bench.take) screen.offer(value);
  });
  if (options) drawAll();
  return () => { forget(); forgetDrops(); stopPaste(); for (const end of [...held.values()]) end(); screen.close(); };
}

/** Where a file goes that was dropped into a zone for another kind. @type {(file: File, kind: import("./drop.js").Kind) => void} */
let passOn = () => undefined;

const PICTURES = "image/png,image/jpeg,image/webp,image/bmp,image/tiff";

/** @param {Element} place @param {Blob} file @param {string} kind @param {string} name */
async function send(place, file, kind, name) {
  const bar = h("i", {});
  const shown = h("div", { class: "bar", role: "progressbar", "aria-label": t("Uploading") }, bar);
  place.append(shown);
  const asset = await guarded(() => api.upload(file, kind, name, (part) => { bar.style.width = `${100 * part}%`; }));
  shown.remove();
  if (asset) heard("asset", asset);
  return asset;
}

/** @param {string} text @param {string} accept @param {import("./drop.js").Kind} kind @param {(file: File) => void} got */
function dropZone(text, accept, kind, got) {
  const input = h("input", { type: "file", accept, "aria-label": text, onchange: () => { const file = input.files[0]; input.value = ""; if (file) got(file); } });
  const zone = h("div", { class: "drop" }, h("strong", {}, text), input);
  for (const what of ["dragover", "dragleave", "drop"]) zone.addEventListener(what, (/** @type {any} */ event) => {
    event.preventDefault();
    zone.classList.toggle("over", what === "dragover");
    if (what !== "drop") return;
    document.body.classList.remove("dragging");
    for (const file of filesOf(event.dataTransfer).slice(0, 2)) {
      const seems = kindOf(file);
      if (kind === "motion" || !seems || seems === kind) got(file); else passOn(file, seems);
    }
  });
  return zone;
}

/** A picture or a sound can be pasted; typed text is what is to be said. @param {(file: File, kind: import("./drop.js").Kind) => void} given */
function onPaste(given) {
  const paste = (/** @type {ClipboardEvent} */ event) => {
    if (!event.clipboardData || /** @type {Element} */ (event.target).closest?.("input:not([type=file]):not([type=range]), textarea")) return;
    const file = filesOf(event.clipboardData)[0];
    if (file) given(file, kindOf(file) || "portrait");
  };
  document.addEventListener("paste", paste);
  return () => document.removeEventListener("paste", paste);
}

/** @param {Element} place @param {Blob} file @param {string} name */
async function usePortrait(place, file, name) {
  const asset = await send(place, file, "portrait", name);
  if (!asset) return;
  Object.assign(bench, { portrait: asset.id, face: 0, take: "" });
  saveBench();
  heard("chosen", asset);
}

/** @param {Element} place @param {Blob} file @param {string} name */
async function giveSpeech(place, file, name) { const got = await send(place, file, "speech", name); if (got) useSpeech(got); }

/** @param {Element} place @param {File} file @param {() => void} draw */
async function useMotion(place, file, draw) {
  const asset = await send(place, file, kindOf(file) === "motion" ? "motion" : "video", file.name);
  if (!asset) return;
  bench.driver = asset.id; saveBench(); draw();
  toast(`${t("Motion comes from")}: ${asset.name}`, true);
}

/** @param {Element} place */
function drawPortrait(place) {
  if (held.has(place)) return;
  const asset = assets.get(bench.portrait);
  const choose = (/** @type {File} */ file) => void usePortrait(place, file, file.name);
  const recent = newestFirst(assets.values()).filter((a) => a.kind === "portrait" && a.id !== bench.portrait).slice(0, 5);
  const others = recent.length ? h("div", { class: "row" }, recent.map((a) => h("button", { class: "thumb", type: "button", "aria-label": a.name, title: a.name,
    onclick: () => { Object.assign(bench, { portrait: a.id, face: 0, take: "" }); saveBench(); heard("chosen", a); } }, h("img", { src: `api/assets/${a.id}/picture?width=96`, alt: "", width: 44, height: 44, style: { "object-fit": "cover", "border-radius": "8px" } })))) : null;
  const head = h("div", { class: "row spread" }, h("h2", {}, t("Portrait")), h("button", { class: "small", type: "button", onclick: () => void camera(place) }, t("Take a picture")));
  if (!asset) { fill(place, head, dropZone(t("Drop a photo here, paste it, or choose a file"), PICTURES, "portrait", choose), others); return; }
  const { width, height } = asset.info;
  const picture = h("div", { class: "picture", style: { "--ratio": width / height } }, h("img", { src: `api/assets/${asset.id}/picture?width=640`, alt: asset.name }));
  const told = h("p", { class: "hint", role: "status" }, t("Looking for faces …"));
  fill(place, head, picture, told, h("div", { class: "row" }, dropZone(t("Change"), PICTURES, "portrait", choose)), others);
  void guarded(async () => drawFaces(await api.get(`assets/${asset.id}/faces`), picture, told));
}

/** Shows what `crop head` leaves of the picture. */
let drawCrop = () => undefined;

/** @param {any} found @param {Element} picture @param {Element} told */
function drawFaces(found, picture, told) {
  if (!found.faces.length) { told.className = "bad"; told.textContent = t("No face was found. Use a picture that shows one clearly, from the front."); return; }
  told.textContent = found.faces.length > 1 ? `${found.faces.length} ${t("faces found: choose who speaks")}` : found.faces[0].remedy ?? "";
  const crop = h("div", { class: "crop", hidden: true });
  drawCrop = () => {
    const [l, u, r, b] = (found.faces.find((/** @type {any} */ face) => face.index === bench.face) ?? found.faces[0]).head;
    Object.assign(crop.style, { left: `${(100 * l) / found.width}%`, top: `${(100 * u) / found.height}%`, width: `${(100 * (r - l)) / found.width}%`, height: `${(100 * (b - u)) / found.height}%` });
    crop.hidden = bench.settings.crop !== "head";
  };
  drawCrop();
  picture.append(crop);
  const boxes = found.faces.map((/** @type {any} */ face) => {
    const [l, u, r, b] = face.box;
    const percent = (/** @type {number} */ part, /** @type {number} */ whole) => `${(100 * part) / whole}%`;
    return h("button", { class: "box", type: "button", "aria-pressed": String(face.index === bench.face), "aria-label": `${t("Face")} ${face.index + 1}`, disabled: !face.usable,
      style: { left: percent(l, found.width), top: percent(u, found.height), width: percent(r - l, found.width), height: percent(b - u, found.height) },
      onclick: () => { bench.face = face.index; saveBench(); boxes.forEach((/** @type {any} */ box, /** @type {number} */ i) => box.setAttribute("aria-pressed", String(i === face.index))); drawCrop(); heard("bench", null); } });
  });
  picture.append(...boxes);
}

/** @param {Element} place */
async function camera(place) {
  const video = h("video", { muted: true, playsInline: true, style: { width: "100%", "border-radius": "9px" } });
  const end = () => { held.delete(place); closeCamera(video); };
  const close = () => { end(); drawPortrait(place); };
  const shot = async () => { const blob = await shoot(video); end(); await usePortrait(place, blob, "camera.png"); };
  const button = h("button", { class: "main", type: "button", disabled: true, onclick: () => void guarded(shot) }, t("Shoot"));
  held.set(place, end);
  fill(place, h("h2", {}, t("Take a picture")), video, h("div", { class: "row" }, button, h("button", { type: "button", onclick: close }, t("Cancel"))));
  if ((await guarded(async () => { await openCamera(video); return true; })) === undefined) { close(); return; }
  if (held.get(place) !== end) closeCamera(video);
  button.disabled = false;
  button.focus();
}

/** @param {any} asset */
function useSpeech(asset) { Object.assign(bench, { speech: asset.id, take: "" }); saveBench(); heard("chosen", asset); }

/** @param {Element} place */
function drawSpeech(place) {
  if (held.has(place)) return;
  const asset = assets.get(bench.speech);
  const record = h("button", { class: "small", type: "button", onclick: () => void guarded(() => recording(place)) }, t("Record"));
  const zone = dropZone(asset ? t("Change") : t("Drop a recording here, or choose a file"), "audio/*,video/*", "speech", (file) => void giveSpeech(place, file, file.name));
  const recent = newestFirst(assets.values()).filter((a) => a.kind === "speech" && a.id !== bench.speech).slice(0, 3);
  fill(place, h("div", { class: "row spread" }, h("h2", {}, t("Speech")), record),
    asset ? h("div", { class: "stack" }, h("span", { class: "hint cut", title: asset.name }, `${clock(asset.info.seconds)} · ${asset.name}`), h("audio", { controls: true, preload: "metadata", src: `api/assets/${asset.id}/file`, style: { width: "100%" }, "aria-label": asset.name })) : null,
    zone, typed(place), recent.length ? h("div", { class: "recent" }, recent.map((a) => h("button", { class: "small quiet", type: "button", title: a.name, onclick: () => useSpeech(a) }, h("span", { class: "cut" }, a.name), h("span", { class: "hint" }, clock(a.info.seconds))))) : null);
}

/** @param {Element} place */
function typed(place) {
  const voice = status?.voice;
  const area = h("textarea", { value: bench.text, "aria-label": t("Type what is to be said"), placeholder: t("Type what is to be said"), oninput: () => { bench.text = area.value; } });
  const say = h("button", { type: "button", onclick: () => void guarded(async () => { say.disabled = true; try { const asset = await api.post("speech", { text: area.value }); heard("asset", asset); useSpeech(asset); } finally { say.disabled = false; } }) }, t("Say it"));
  return h("details", {}, h("summary", {}, t("Say typed text")), voice?.ready ? h("div", { class: "stack" }, area, say) : h("p", { class: "hint" }, `${t("Optional: typed text needs a voice.")} ${voice?.remedy ?? ""}`));
}

/** Records until it is ended; whoever leaves the bench keeps what was said so far. @param {Element} place */
async function recording(place) {
  if (held.has(place)) return;
  const recorder = new Recorder();
  held.set(place, () => { held.delete(place); recorder.stop(); });
  try { await recorder.start(); } catch (error) { held.delete(place); throw error; }
  if (!held.has(place)) { recorder.stop(); return; }
  const began = Date.now();
  const time = h("span", { role: "timer" }, "0:00");
  const ticking = setInterval(() => { time.textContent = clock((Date.now() - began) / 1000); }, 250);
  const end = () => { clearInterval(ticking); held.delete(place); return recorder.stop(); };
  const stop = () => void giveSpeech(place, end(), `recording-${new Date().toISOString().slice(11, 19).replaceAll(":", "-")}.wav`);
  const cancel = () => { end(); drawSpeech(place); };
  held.set(place, stop);
  fill(place, h("div", { class: "row spread" }, h("h2", {}, t("Recording")), time), h("div", { class: "row" }, h("button", { class: "main", type: "button", onclick: stop }, t("Stop recording")), h("button", { type: "button", onclick: cancel }, t("Cancel"))));
  announce(t("Recording"));
  /** @type {HTMLElement | null} */ (place.querySelector("button"))?.focus();
}

/** @param {Element} place @param {ReturnType<typeof makeScreen>} screen */
function drawMotion(place, screen) {
  const changed = (/** @type {string} */ name, /** @type {any} */ value) => {
    if (value === undefined) delete bench.settings[name]; else bench.settings[name] = value;
    saveBench();
    if (name === "model" || name === "style") drawMotion(place, screen);
    if (name === "crop") drawCrop();
    screen.still();
  };
  const models = options.models.map((/** @type {any} */ m) => h("option", { value: m.name, selected: m.name === (bench.settings.model ?? "preview") }, m.ready ? m.name : `${m.name} (${t("files missing")})`));
  const model = h("select", { id: "model", onchange: () => changed("model", model.value) }, models);
  const chosen = options.models.find((/** @type {any} */ m) => m.name === model.value);
  const seed = h("input", { type: "number", id: "seed", min: 0, max: 2147483647, value: bench.settings.seed ?? 0, onchange: () => changed("seed", Number(seed.value)) });
  const dice = h("button", { type: "button", class: "small", onclick: () => { seed.value = String(Math.floor(Math.random() * 100000)); changed("seed", Number(seed.value)); } }, t("Random"));
  const reset = h("button", { type: "button", class: "small quiet", onclick: () => { bench.settings = {}; saveBench(); drawCrop(); drawMotion(place, screen); screen.still(); } }, t("Reset"));
  const drivers = newestFirst(assets.values()).filter((a) => a.kind === "motion" || a.kind === "video");
  const driver = h("select", { id: "driver", onchange: () => { bench.driver = driver.value; saveBench(); } }, h("option", { value: "auto" }, t("the speech")),
    [...drivers, ...newestFirst(takes.values()).slice(0, 10)].map((one) => h("option", { value: one.id, selected: bench.driver === one.id }, one.name || `${title("take")} ${one.id.slice(0, 6)}`)));
  const clip = dropZone(t("Add a clip or motion file"), "video/*,.npz", "motion", (file) => void useMotion(place, file, () => drawMotion(place, screen)));
  fill(place, h("div", { class: "row spread" }, h("h2", {}, t("Motion")), reset),
    chosen.engine === "preview" ? [...SLIDERS.map(option).filter(Boolean).map((o) => slider(o, bench.settings, changed)), field(option("style"), bench.settings, changed)] : null,
    h("div", { class: "row" }, h("label", { for: "seed", class: "grow" }, title("seed")), seed, dice),
    h("label", { class: "field", for: "model" }, t("Render with"), model, h("span", { class: "hint" }, chosen.title)), chosen.ready ? null : h("p", { class: "missing" }, h("strong", {}, t("The files of this model are missing.")), h("br"), chosen.fetchable ? chosen.state : `${chosen.state}: ${chosen.remedy}`),
    !chosen.fetchable ? null : h("button", { class: "small", type: "button", onclick: () => void guarded(async () => { await api.post("jobs", { kind: "weights", model: chosen.name }); location.hash = "#queue"; }) }, t("Fetch the files")),
    h("label", { class: "field", for: "driver" }, t("Motion comes from"), driver), clip, h("details", {}, h("summary", {}, t("More")), ...groups(bench.settings, changed)));
}
