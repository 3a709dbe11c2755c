// The bench: who speaks, what is said, how; a still that follows the sliders, a talk that plays while it is rendered.
// @ts-check
import * as api from "./api.js";
import { Recorder, closeCamera, openCamera, shoot } from "./capture.js";
import { announce, clock, fill, guarded, h } from "./dom.js";
import { SLIDERS, field, groups, option, slider } from "./form.js";
import { t, title } from "./i18n.js";
import { assets, bench, handsKnown, heard, jobs, listen, newestFirst, options, saveBench, status, takes } from "./store.js";
import { timeline } from "./timeline.js";

/** @param {Element} main @returns {() => void} */
export function show(main) {
  const parts = { portrait: h("section", { class: "card stack", "aria-label": t("Portrait") }), speech: h("section", { class: "card stack", "aria-label": t("Speech") }),
    screen: h("section", { class: "stack", "aria-label": t("Play") }), line: h("section", { class: "card stack", "aria-label": t("Timeline") }), motion: h("section", { class: "card stack", "aria-label": t("Motion") }) };
  fill(main, h("div", { class: "bench" }, h("div", { class: "column" }, parts.portrait, parts.speech), h("div", { class: "column middle" }, parts.screen, parts.line), h("div", { class: "column" }, parts.motion)));
  const screen = makeScreen(parts.screen);
  const drawLine = () => timeline(parts.line, takes.get(bench.take), screen);
  const drawAll = () => { drawPortrait(parts.portrait); drawSpeech(parts.speech); drawMotion(parts.motion, screen); screen.draw(); drawLine(); };
  const stopPaste = onPaste(parts.portrait);
  const forget = listen((kind, value) => {
    if (kind === "loaded" || kind === "chosen") drawAll();
    if (kind === "asset") { drawPortrait(parts.portrait); drawSpeech(parts.speech); }
    if (kind === "take" && value.id === bench.take) { screen.take(value); drawLine(); }
    if (kind === "job" && value.take === bench.take) screen.job(value);
    if (kind === "opened") drawAll();
    if (kind === "hands" && value.id === bench.take) screen.offer(value);
  });
  if (options) drawAll();
  return () => { forget(); stopPaste(); screen.close(); };
}

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

/** @param {string} text @param {string} accept @param {(file: File) => void} got */
function dropZone(text, accept, got) {
  const input = h("input", { type: "file", accept, "aria-label": text, onchange: () => input.files[0] && got(input.files[0]) });
  const zone = h("div", { class: "drop" }, h("strong", {}, text), input);
  for (const kind of ["dragover", "dragleave", "drop"]) zone.addEventListener(kind, (/** @type {any} */ event) => {
    event.preventDefault();
    zone.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) got(event.dataTransfer.files[0]);
  });
  return zone;
}

/** @param {Element} place */
function onPaste(place) {
  const paste = (/** @type {ClipboardEvent} */ event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (file) void usePortrait(place, file, file.name || "pasted.png");
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

/** @param {Element} place */
function drawPortrait(place) {
  const asset = assets.get(bench.portrait);
  const choose = (/** @type {File} */ file) => void usePortrait(place, file, file.name);
  const recent = newestFirst(assets.values()).filter((a) => a.kind === "portrait" && a.id !== bench.portrait).slice(0, 5);
  const others = recent.length ? h("div", { class: "row" }, recent.map((a) => h("button", { class: "thumb", type: "button", "aria-label": a.name, title: a.name,
    onclick: () => { Object.assign(bench, { portrait: a.id, face: 0, take: "" }); saveBench(); heard("chosen", a); } }, h("img", { src: `api/assets/${a.id}/picture?width=96`, alt: "", width: 44, height: 44, style: { "object-fit": "cover", "border-radius": "8px" } })))) : null;
  const head = h("div", { class: "row spread" }, h("h2", {}, t("Portrait")), h("button", { class: "small", type: "button", onclick: () => void camera(place) }, t("Take a picture")));
  if (!asset) { fill(place, head, dropZone(t("Drop a photo here, paste it, or choose a file"), PICTURES, choose), others); return; }
  const picture = h("div", { class: "picture" }, h("img", { src: `api/assets/${asset.id}/picture?width=640`, alt: asset.name }));
  const told = h("p", { class: "hint", role: "status" }, t("Looking for faces …"));
  fill(place, head, picture, told, h("div", { class: "row" }, dropZone(t("Change"), PICTURES, choose)), others);
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
  const close = () => { closeCamera(video); drawPortrait(place); };
  const take = async () => { const blob = await shoot(video); closeCamera(video); await usePortrait(place, blob, "camera.png"); };
  fill(place, h("h2", {}, t("Take a picture")), video, h("div", { class: "row" }, h("button", { class: "main", type: "button", onclick: () => void guarded(take) }, t("Shoot")), h("button", { type: "button", onclick: close }, t("Cancel"))));
  if ((await guarded(async () => { await openCamera(video); return true; })) === undefined) close();
}

/** @param {any} asset */
function useSpeech(asset) { Object.assign(bench, { speech: asset.id, take: "" }); saveBench(); heard("chosen", asset); }

/** @param {Element} place */
function drawSpeech(place) {
  const asset = assets.get(bench.speech);
  const choose = async (/** @type {Blob} */ file, /** @type {string} */ name) => { const got = await send(place, file, "speech", name); if (got) useSpeech(got); };
  const record = h("button", { class: "small", type: "button", onclick: () => void guarded(() => recording(place, choose)) }, t("Record"));
  const zone = dropZone(asset ? t("Change") : t("Drop a recording here, or choose a file"), "audio/*,video/*", (file) => void choose(file, file.name));
  const recent = newestFirst(assets.values()).filter((a) => a.kind === "speech" && a.id !== bench.speech).slice(0, 3);
  fill(place, h("div", { class: "row spread" }, h("h2", {}, t("Speech")), record),
    asset ? h("div", { class: "stack" }, h("span", { class: "hint" }, `${asset.name} · ${clock(asset.info.seconds)}`), h("audio", { controls: true, preload: "metadata", src: `api/assets/${asset.id}/file`, style: { width: "100%" }, "aria-label": asset.name })) : null,
    zone, typed(place), recent.map((a) => h("button", { class: "small quiet", type: "button", onclick: () => useSpeech(a) }, `${a.name} · ${clock(a.info.seconds)}`)));
}

/** @param {Element} place */
function typed(place) {
  const voice = status?.voice;
  const area = h("textarea", { value: bench.text, "aria-label": t("Type what is to be said"), placeholder: t("Type what is to be said"), oninput: () => { bench.text = area.value; } });
  const say = h("button", { type: "button", onclick: () => void guarded(async () => { say.disabled = true; try { const asset = await api.post("speech", { text: area.value }); heard("asset", asset); useSpeech(asset); } finally { say.disabled = false; } }) }, t("Say it"));
  return h("details", {}, h("summary", {}, t("Say typed text")), voice?.ready ? h("div", { class: "stack" }, area, say) : h("p", { class: "hint" }, `${t("Optional: typed text needs a voice.")} ${voice?.remedy ?? ""}`));
}

/** @param {Element} place @param {(file: Blob, name: string) => Promise<void>} got */
async function recording(place, got) {
  const recorder = new Recorder();
  await recorder.start();
  const began = Date.now();
  const time = h("span", { role: "timer" }, "0:00");
  const ticking = setInterval(() => { time.textContent = clock((Date.now() - began) / 1000); }, 250);
  const stop = () => { clearInterval(ticking); void got(recorder.stop(), `recording-${new Date().toISOString().slice(11, 19).replaceAll(":", "-")}.wav`); };
  fill(place, h("div", { class: "row spread" }, h("h2", {}, t("Recording")), time), h("button", { class: "main", type: "button", onclick: stop }, t("Stop recording")));
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
  const clip = dropZone(t("Add a clip or motion file"), "video/*,.npz", (file) => void send(place, file, file.name.endsWith(".npz") ? "motion" : "video", file.name).then((a) => { if (a) { bench.driver = a.id; saveBench(); drawMotion(place, screen); } }));
  fill(place, h("div", { class: "row spread" }, h("h2", {}, t("Motion")), reset),
    chosen.engine === "preview" ? [...SLIDERS.map(option).filter(Boolean).map((o) => slider(o, bench.settings, changed)), field(option("style"), bench.settings, changed)] : null,
    h("div", { class: "row" }, h("label", { for: "seed", class: "grow" }, title("seed")), seed, dice),
    h("label", { class: "field", for: "model" }, t("Render with"), model, h("span", { class: "hint" }, chosen.title)), chosen.ready ? null : h("p", { class: "missing" }, h("strong", {}, t("The files of this model are missing.")), h("br"), chosen.state),
    chosen.ready || !chosen.bytes ? null : h("button", { class: "small", type: "button", onclick: () => void guarded(async () => { await api.post("jobs", { kind: "weights", model: chosen.name }); location.hash = "#queue"; }) }, t("Fetch the files")),
    h("label", { class: "field", for: "driver" }, t("Motion comes from"), driver), h("details", {}, h("summary", {}, t("More")), clip, ...groups(bench.settings, changed)));
}

/** The picture or video in the middle. @param {Element} place */
function makeScreen(place) {
  const frame = h("div", { class: "screen" });
  const told = h("div", { class: "stack", role: "status" });
  const make = h("button", { class: "main", type: "button", id: "render", onclick: () => void render() }, t("Make the talk"));
  /** What is laid over the video: nothing, the face's landmarks or the hands that V2 will draw. */
  let shown = "";
  const laid = (/** @type {string} */ what, /** @type {string} */ text, /** @type {string} */ id) => h("button", { type: "button", class: "small", id, "aria-pressed": "false", onclick: () => { shown = shown === what ? "" : what; for (const one of marks.children) one.setAttribute("aria-pressed", String(one.id === id && shown === what)); over.remove(); mark(); } }, t(text));
  const marks = h("div", { class: "row", hidden: true, role: "group", "aria-label": t("Show") }, laid("landmarks", "Landmarks", "marks"), laid("pose", "Hands", "handmarks"));
  const offer = (/** @type {any} */ now) => { marks.hidden = !now?.ready; if (now) [now.editable, handsKnown(now)].forEach((one, i) => { /** @type {HTMLElement} */ (marks.children[i]).hidden = !one; }); };
  fill(place, frame, h("div", { class: "row spread" }, make, marks), told);
  let busy = false, again = false, shownStill = "", playing = "";
  const video = h("video", { controls: true, playsInline: true, "aria-label": t("Play") });
  const over = h("img", { class: "over" });
  let drawing = false;

  /** Lays what is wanted over the frame that is shown. */
  function mark() {
    const now = takes.get(bench.take);
    const wanted = shown && playing.includes("/video") && now;
    if (!wanted) { over.remove(); return; }
    if (drawing) return;
    drawing = true;
    over.alt = t(shown === "pose" ? "Hands" : "Landmarks");
    const time = video.currentTime, image = new Image(), what = shown;
    image.onload = () => { drawing = false; if (what !== shown) { mark(); return; } over.src = image.src; if (!over.isConnected) frame.append(over); if (Math.abs(video.currentTime - time) > 0.03) mark(); };
    image.onerror = () => { drawing = false; };
    image.src = `api/takes/${now.id}/map?of=${what}&time=${Math.min(time, now.seconds - 0.02).toFixed(2)}&r=${now.revision}`;
  }
  for (const kind of ["timeupdate", "seeked", "loadeddata"]) video.addEventListener(kind, mark);

  const order = () => ({ portrait: bench.portrait, speech: bench.speech, settings: bench.settings, request: { face: bench.face, driver: bench.driver } });

  async function still(/** @type {number | undefined} */ time = undefined) {
    if (!bench.portrait) return;
    if ((bench.settings.model ?? "preview") !== "preview") {
      if (!playing) fill(frame, h("img", { src: `api/assets/${bench.portrait}/picture?width=1024`, alt: t("Portrait") }));
      return;
    }
    if (busy) { again = true; return; }
    busy = true;
    const { model: _, ...settings } = bench.settings;
    const asked = { portrait: bench.portrait, request: { face: bench.face }, settings, ...(bench.speech && time !== undefined ? { speech: bench.speech, time } : {}) };
    const blob = await guarded(() => api.still(asked));
    busy = false;
    if (blob && !playing) {
      if (shownStill) URL.revokeObjectURL(shownStill);
      shownStill = URL.createObjectURL(blob);
      const picture = frame.querySelector("img");
      if (picture) picture.src = shownStill; else fill(frame, h("img", { src: shownStill, alt: t("Portrait") }));
    }
    if (again) { again = false; void still(time); }
  }

  async function render() {
    make.disabled = true;
    const job = await guarded(() => api.post("jobs", order(), { "Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random()) }));
    make.disabled = false;
    if (!job) return;
    place.scrollIntoView({ block: "nearest" });
    bench.take = job.take; saveBench(); heard("job", job); heard("opened", job);
    announce(t("The talk is being rendered; it plays while it grows."));
  }

  function play(/** @type {any} */ take) {
    const source = take.ready ? `api/takes/${take.id}/video?r=${take.revision}` : `api/takes/${take.id}/stream`;
    if (playing === source) return;
    const time = playing && playing.includes(take.id) ? video.currentTime : 0;
    playing = source;
    video.src = source;
    if (take.ready) video.addEventListener("loadedmetadata", () => { video.currentTime = Math.min(time, video.duration || time); }, { once: true });
    video.play().catch(() => undefined);
    fill(frame, video);
    offer(take);
  }

  function job(/** @type {any} */ now) {
    if (now.state === "done") { fill(told); return; }
    if (now.state === "failed" || now.state === "stopped") { fill(told, h("p", { class: "bad" }, now.error ?? t(now.state))); return; }
    const part = now.fraction === null || now.fraction === undefined ? null : Math.round(100 * now.fraction);
    fill(told, h("div", { class: part === null ? "bar unknown" : "bar", role: "progressbar", "aria-valuenow": part ?? undefined, "aria-label": now.stage || t(now.state) }, h("i", { style: { width: part === null ? "30%" : `${part}%` } })),
      h("p", { class: "hint" }, `${t(now.state)} · ${t(now.stage || "")} ${now.total ? `${now.done}/${now.total}` : ""} ${now.left ? `· ${clock(now.left)} ${t("left")}` : ""}`));
    const take = takes.get(now.take);
    if (now.lane === "preview" && now.stage === "rendering" && now.kind === "render" && now.done > 8 && take) play({ ...take, ready: false });
  }

  function take(/** @type {any} */ now) { if (now.ready) play(now); }

  function draw() {
    const now = takes.get(bench.take);
    playing = "";
    make.disabled = !(bench.portrait && bench.speech);
    offer(now);
    if (now?.ready) { play(now); fill(told); return; }
    const running = now && jobs.get(now.job);
    if (running) job(running); else fill(told);
    if (!bench.portrait) fill(frame, h("p", {}, t("Choose a portrait to begin."))); else void still();
    if (bench.portrait && !bench.speech) fill(told, h("p", { class: "hint" }, t("Now choose what is to be said.")));
  }

  return { draw, render, take, job, video, offer, still: () => { if (playing) { playing = ""; video.pause(); marks.hidden = true; over.remove(); } void still(); },
    close: () => { video.pause(); video.removeAttribute("src"); if (shownStill) URL.revokeObjectURL(shownStill); } };
}
