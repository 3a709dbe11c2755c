// The timeline: the speech's wave and the performance's curves; a dragged stretch is changed, every change is one entry of a list.
// @ts-check
import * as api from "./api.js";
import { announce, clock, fill, guarded, h } from "./dom.js";
import { t, title } from "./i18n.js";
import { assets, handless, handsKnown, heard, newestFirst, options, takes, tell } from "./store.js";

const TRACKS = ["mouth", "head", "brows", "blinks", "gaze", "body"];
const HANDS = "hands";
/** Edits of takes of V2, which are rendered as a whole: they become a take of their own. @type {Map<string, any[]>} */
const pending = new Map();
/** @type {Map<string, any[]>} lists that were undone, by take */
const undone = new Map();
/** @type {{take: string, track: string, start: number, stop: number}} */
const chosen = { take: "", track: "mouth", start: 0, stop: 0 };
/** While a stretch is dragged nothing is drawn anew; what is to be drawn then. */
let dragging = false, /** @type {() => void} */ later = () => undefined;
/** Ends what the last drawing left behind. @type {() => void} */
let forget = () => undefined;
/** How many times wider than the card the curves are; a canvas has so many pixels at most; seconds that are shown at least. */
let zoom = 1;
const WIDEST = 16000, CLOSEST = 4, PEAKS = [800, 8000];
/** What the last take's curves were, shown until the new ones are there. @type {{take: string, curves: Record<string, any>, peaks: number[], share: number}} share: of the take, that the speech fills */
let data = { take: "", curves: {}, peaks: [], share: 1 };

/** @type {Record<string, string>} */ const OPS = { gain: "Strength", smooth: "Smooth", mute: "Mute", mirror: "Mirror", replace: "Replaced", blink: "Blink" };

/** @param {string} track */
const name = (track) => title(track);

/** The edits that the take has, or shall have. @param {any} take @returns {any[]} */
const editsOf = (take) => pending.get(take.id) ?? take.edits;

/** What of a take can be directed: all of a preview's and its hands, which V2 will show; the hands of V2's own. @param {any} take */
function tracksOf(take) {
  const model = options.models.find((/** @type {any} */ m) => m.name === take.model);
  return take.editable ? [...TRACKS, HANDS] : model?.guide === HANDS ? [HANDS] : [];
}

/** @param {Element} place @param {any} take @param {{video: HTMLVideoElement}} screen */
export function timeline(place, take, screen) {
  if (dragging) { later = () => timeline(place, takes.get(take?.id), screen); return; }
  forget();
  /** @type {HTMLElement} */ (place).hidden = !take?.ready;
  if (!take?.ready) return;
  const tracks = tracksOf(take);
  if (!tracks.length) { fill(place, h("h2", {}, t("Timeline")), h("p", {}, `${take.model}: ${t("this model draws every picture itself, so there are no curves here. Direct a preview take, then choose Same again with: its edits go along.")}`)); return; }
  if (chosen.take !== take.id) Object.assign(chosen, { take: take.id, start: 0, stop: 0 });
  if (!tracks.includes(chosen.track)) chosen.track = tracks[0];
  const wave = h("canvas", { class: "wave", "aria-hidden": "true" });
  /** @type {Record<string, any>} */ const canvases = {};
  const names = [h("span", { class: "name wave" }, clock(take.seconds))];
  for (const track of tracks) {
    canvases[track] = h("canvas", { tabIndex: 0, role: "img", "aria-label": name(track), "data-track": track, title: t("Drag, or use the arrow keys; with Alt they move the end") });
    names.push(h("button", { "data-track": track, class: "name", type: "button", "aria-pressed": String(chosen.track === track), style: { color: `var(--${track})` }, onclick: () => { chosen.track = track; timeline(place, take, screen); } }, name(track)));
  }
  const playhead = h("i", { class: "playhead" });
  const stretches = [h("i", { class: "stretch" }), h("i", { class: "stretch" })];
  const strip = h("div", { class: "strip", style: { width: `${100 * zoom}%` } }, wave, Object.values(canvases), stretches, playhead);
  const lanes = h("div", { class: "lanes" }, strip);
  const nearer = h("button", { type: "button", class: "small", "aria-label": t("Zoom in"), title: t("Zoom in"), onclick: () => scale(2) }, "+");
  const farther = h("button", { type: "button", class: "small", "aria-label": t("Zoom out"), title: t("Zoom out"), onclick: () => scale(0.5) }, "−");
  const told = h("p", { class: "hint grow", role: "status" });
  fill(place, h("div", { class: "row lanehead" }, h("h2", {}, t("Timeline")), told, farther, nearer), h("div", { class: "timeline" }, h("div", { class: "names" }, names), lanes), operations(place, take, screen), entries(place, take, screen),
    h("p", { class: "hint" }, t(take.editable ? "Only this stretch is rendered anew." : "V2 renders a take as a whole, so changed hands become a new take.")));
  if (data.take !== take.id) data = { take: take.id, curves: {}, peaks: [], share: 1 };
  /** Shows what is chosen: cheap, for every step of a drag. */
  const mark = () => {
    const some = chosen.stop > chosen.start;
    told.textContent = some ? `${t("Chosen")}: ${name(chosen.track)} ${chosen.start.toFixed(2)}–${chosen.stop.toFixed(2)} ${t("seconds")}` : t("Drag over the curves to choose a stretch, then say what happens to it.");
    [wave, canvases[chosen.track]].forEach((canvas, i) => {
      stretches[i].hidden = !some;
      if (some) Object.assign(stretches[i].style, { left: `${(100 * chosen.start) / take.seconds}%`, width: `${(100 * (chosen.stop - chosen.start)) / take.seconds}%`, top: `${canvas.offsetTop}px`, height: `${canvas.offsetHeight}px` });
    });
  };
  const draw = () => {
    mark();
    paintWave(wave, data);
    for (const track of tracks) paintTrack(canvases[track], data.curves[track], track);
  };
  const follow = () => {
    const at = strip.clientWidth * Math.min(1, screen.video.currentTime / take.seconds);
    playhead.style.transform = `translateX(${at}px)`;
    if (!dragging && !screen.video.paused && (at < lanes.scrollLeft || at > lanes.scrollLeft + lanes.clientWidth)) lanes.scrollLeft = at - 20;
  };
  /** Looks closer (or less so) at what is chosen, or plays. @param {number} times */
  const scale = (times) => {
    const most = Math.min(take.seconds / CLOSEST, WIDEST / (lanes.clientWidth * (window.devicePixelRatio || 1)));
    zoom = Math.max(1, Math.min(zoom * times, most));
    strip.style.width = `${100 * zoom}%`;
    nearer.disabled = zoom >= most; farther.disabled = zoom <= 1;
    const middle = chosen.stop > chosen.start ? (chosen.start + chosen.stop) / 2 : screen.video.currentTime;
    lanes.scrollLeft = (strip.clientWidth * middle) / take.seconds - lanes.clientWidth / 2;
  };
  for (const track of tracks) drag(canvases[track], track, take, screen, mark, () => timeline(place, take, screen));
  drag(wave, "", take, screen, mark, () => undefined);
  const seen = new ResizeObserver(() => { draw(); follow(); });
  seen.observe(wave);
  let frame = 0;
  const run = () => { follow(); frame = screen.video.paused ? 0 : requestAnimationFrame(run); };
  screen.video.ontimeupdate = screen.video.onseeking = follow;
  screen.video.onplay = () => { cancelAnimationFrame(frame); run(); };
  forget = () => { seen.disconnect(); cancelAnimationFrame(frame); };
  scale(1);
  run();
  const got = (/** @type {any} */ found) => { if (data.take !== take.id) return; Object.assign(data.curves, found.tracks); draw(); };
  if (take.editable) void guarded(async () => got(await api.get(`takes/${take.id}/curves`)));
  void showHands(place, take, got);
  if (take.speech) void guarded(async () => { const found = await api.get(`assets/${take.speech}/peaks?bins=${Math.round(Math.min(PEAKS[1], Math.max(PEAKS[0], 25 * take.seconds)))}&stop=${take.seconds}`); if (data.take !== take.id) return; data.peaks = found.peaks; data.share = found.stop / take.seconds; draw(); });
}

/** The curve of the hands; its row goes where the portrait shows none, or they are not known before V2. @param {Element} place @param {any} take @param {(found: any) => void} got */
async function showHands(place, take, got) {
  const row = /** @type {HTMLElement[]} */ ([...place.querySelectorAll(`[data-track="${HANDS}"]`)]);
  const path = `takes/${take.id}/hands`;
  const found = !handsKnown(take) ? null : await (pending.has(take.id) ? api.post(path, { edits: editsOf(take) }) : api.get(path)).catch(() => null);
  const seen = found && Object.values(found.tracks[HANDS]).some((/** @type {any} */ values) => values.length);
  for (const one of row) one.hidden = !seen && take.editable;
  if (found && !seen) { handless.add(take.id); tell("hands", take); }
  if (seen) got(found);
}

/** @param {HTMLCanvasElement} canvas */
function brush(canvas) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale; canvas.height = height * scale;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(scale, scale);
  return { pen, width, height, colour: (/** @type {string} */ key) => getComputedStyle(canvas).getPropertyValue(`--${key}`) };
}

/** @param {HTMLCanvasElement} canvas @param {{peaks: number[], share: number}} data */
function paintWave(canvas, { peaks, share }) {
  const b = brush(canvas);
  b.pen.fillStyle = b.colour("wave");
  const step = (b.width * share) / Math.max(1, peaks.length);
  peaks.forEach((peak, i) => b.pen.fillRect(i * step, (b.height * (1 - peak)) / 2, Math.max(1, step - 0.3), Math.max(1, b.height * peak)));
}

/** @param {HTMLCanvasElement} canvas @param {Record<string, number[]> | undefined} curves @param {string} track */
function paintTrack(canvas, curves, track) {
  const b = brush(canvas);
  Object.values(curves ?? {}).forEach((values, i) => {
    const most = values.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-6);
    const low = values.reduce((m, v) => Math.min(m, v), 0) < -1e-6;
    b.pen.strokeStyle = b.colour(track); b.pen.globalAlpha = i ? 0.45 : 1; b.pen.lineWidth = 1.5; b.pen.beginPath();
    thinned(values, b.width).forEach(([j, value], k) => { const x = (b.width * j) / Math.max(1, values.length - 1), y = low ? (b.height / 2) * (1 - (0.9 * value) / most) : b.height - 3 - ((b.height - 6) * value) / most; if (k) b.pen.lineTo(x, y); else b.pen.moveTo(x, y); });
    b.pen.stroke();
  });
}

/** What can be seen of a curve: of what falls on one pixel the lowest and the highest, so that no blink is lost. @param {number[]} values @param {number} width @returns {[number, number][]} */
function thinned(values, width) {
  if (values.length <= 2 * width) return values.map((value, i) => [i, value]);
  /** @type {[number, number][]} */ const kept = [];
  const step = values.length / width;
  for (let x = 0; x < width; x += 1) {
    const from = Math.floor(x * step), part = values.slice(from, Math.floor((x + 1) * step));
    kept.push([from, Math.min(...part)], [from, Math.max(...part)]);
  }
  return kept;
}

/** @param {HTMLCanvasElement} canvas @param {string} track @param {any} take @param {{video: HTMLVideoElement}} screen @param {() => void} draw @param {() => void} picked */
function drag(canvas, track, take, screen, draw, picked) {
  const time = (/** @type {PointerEvent} */ event) => { const box = canvas.getBoundingClientRect(); return Math.max(0, Math.min(take.seconds, (take.seconds * (event.clientX - box.left)) / box.width)); };
  let from = -1, changed = false;
  const end = () => { from = -1; dragging = false; const draw = later; later = () => undefined; draw(); };
  canvas.onpointerdown = (event) => { if (event.button) return; from = time(event); dragging = true; changed = Boolean(track) && chosen.track !== track; if (track) chosen.track = track; canvas.setPointerCapture(event.pointerId); };
  canvas.onpointermove = (event) => { if (from < 0) return; const now = time(event); chosen.start = Math.min(from, now); chosen.stop = Math.max(from, now); draw(); };
  canvas.onpointercancel = end; // a finger that scrolls the page
  canvas.onpointerup = (event) => {
    if (from < 0) return;
    if (Math.abs(time(event) - from) < 0.04) { screen.video.currentTime = time(event); chosen.start = chosen.stop = 0; } else screen.video.currentTime = chosen.start;
    end();
    if (changed || chosen.stop > chosen.start) picked(); else draw();
  };
  canvas.onkeydown = (event) => {
    const step = event.shiftKey ? 0.5 : 0.1, moved = { ArrowLeft: -step, ArrowRight: step }[event.key];
    if (moved === undefined) return;
    event.preventDefault();
    chosen.track = track || chosen.track;
    if (event.altKey) chosen.stop = Math.max(chosen.start + 0.1, Math.min(take.seconds, (chosen.stop || chosen.start) + moved));
    else { const long = Math.max(0.5, chosen.stop - chosen.start); chosen.start = Math.max(0, Math.min(take.seconds - 0.1, chosen.start + moved)); chosen.stop = Math.min(take.seconds, chosen.start + long); }
    announce(`${name(chosen.track)} ${chosen.start.toFixed(1)}–${chosen.stop.toFixed(1)}`); draw();
  };
}

/** @param {Element} place @param {any} take @param {{video: HTMLVideoElement}} screen @param {any[]} edits */
async function saveEdits(place, take, screen, edits) {
  if (!take.editable) { pending.set(take.id, edits); timeline(place, take, screen); return; }
  const answer = await guarded(() => api.put(`takes/${take.id}/edits`, { edits, was: take.edits }));
  if (!answer) { void guarded(async () => heard("take", await api.get(`takes/${take.id}`))); return; }
  heard("take", answer.take);
  if (answer.job) heard("job", answer.job);
}

/** @param {Element} place @param {any} take @param {{video: HTMLVideoElement}} screen */
function operations(place, take, screen) {
  const start = h("input", { type: "number", id: "edit-start", min: 0, max: take.seconds, step: 0.1, value: chosen.start.toFixed(2), "aria-label": t("Start"), style: { width: "90px", padding: "4px 8px" }, onchange: () => { chosen.start = Number(start.value); timeline(place, take, screen); } });
  const stop = h("input", { type: "number", id: "edit-stop", min: 0, max: take.seconds, step: 0.1, value: (chosen.stop || take.seconds).toFixed(2), "aria-label": t("End"), style: { width: "90px", padding: "4px 8px" }, onchange: () => { chosen.stop = Number(stop.value); timeline(place, take, screen); } });
  const region = () => ({ track: chosen.track, start: chosen.start, stop: chosen.stop > chosen.start ? chosen.stop : take.seconds });
  const add = (/** @type {any} */ entry) => { undone.set(take.id, []); void saveEdits(place, take, screen, [...editsOf(take), { ...region(), ...entry }]); };
  const button = (/** @type {string} */ text, /** @type {any} */ entry) => h("button", { type: "button", class: "small", onclick: () => add(entry) }, t(text));
  const lenders = chosen.track === HANDS ? [] : newestFirst(takes.values()).filter((one) => one.id !== take.id && one.ready && one.editable);
  const sources = [...lenders, ...newestFirst(assets.values()).filter((one) => one.kind === "video" || one.kind === "motion")].slice(0, 20);
  const from = h("select", { "aria-label": t("Replace from"), onchange: () => from.value && add({ op: "replace", source: from.value }) }, h("option", { value: "" }, `${t("Replace from")} …`), sources.map((one) => h("option", { value: one.id }, one.name || one.id.slice(0, 7))));
  const middle = () => { const r = region(); const at = chosen.stop > chosen.start ? (r.start + r.stop) / 2 : screen.video.currentTime; return { op: "blink", track: "blinks", start: Math.max(0, at - 0.16), stop: Math.min(take.seconds, at + 0.16) }; };
  const undo = h("button", { type: "button", class: "small", disabled: !editsOf(take).length, onclick: () => { undone.set(take.id, [...(undone.get(take.id) ?? []), editsOf(take).at(-1)]); void saveEdits(place, take, screen, editsOf(take).slice(0, -1)); } }, t("Undo"));
  const redo = h("button", { type: "button", class: "small", disabled: !undone.get(take.id)?.length, onclick: () => { const entry = undone.get(take.id)?.pop(); if (entry) void saveEdits(place, take, screen, [...editsOf(take), entry]); } }, t("Redo"));
  return h("div", { class: "ops", role: "group", "aria-label": t("Edits") }, h("div", { class: "row" }, h("strong", {}, name(chosen.track)), start, "–", stop, undo, redo), h("div", { class: "row" }, button("More of it", { op: "gain", amount: 1.5 }), button("Less", { op: "gain", amount: 0.5 }), button("Smooth", { op: "smooth", seconds: 0.3 }),
    button("Mute", { op: "mute" }), button("Mirror", { op: "mirror" }), chosen.track === HANDS ? null : h("button", { type: "button", class: "small", onclick: () => add(middle()) }, t("Add a blink")), from, take.editable ? h("a", { class: "button small", href: `api/takes/${take.id}/motion`, download: "" }, t("Save the motion")) : null));
}

/** @param {Element} place @param {any} take @param {{video: HTMLVideoElement}} screen */
function entries(place, take, screen) {
  const edits = editsOf(take);
  const again = pending.has(take.id) ? h("button", { type: "button", class: "main", onclick: () => void remake(take) }, t("Make it again with these edits")) : null;
  if (!edits.length) return again;
  return h("div", { class: "stack" }, h("ol", { class: "edits", "aria-label": t("Edits"), role: "list" }, edits.map((/** @type {any} */ e, /** @type {number} */ i) => h("li", {}, h("span", { class: "grow" }, `${t(OPS[e.op] ?? e.op)} · ${name(e.track)} · ${e.start.toFixed(2)}–${e.stop.toFixed(2)}${e.amount === undefined ? "" : ` · ×${e.amount}`}`),
    h("button", { type: "button", class: "small quiet", "aria-label": `${t("Remove")} ${i + 1}`, onclick: () => void saveEdits(place, take, screen, edits.filter((/** @type {any} */ _, /** @type {number} */ j) => j !== i)) }, "×")))), again);
}

/** @param {any} take */
async function remake(take) {
  const job = await guarded(() => api.post("jobs", { take: take.id, edits: editsOf(take) }));
  if (!job) return;
  pending.delete(take.id);
  heard("job", job);
  location.hash = "#queue";
}
