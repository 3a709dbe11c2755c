// The middle of the bench: a still that follows the sliders, then the talk, which plays while it is rendered.
// @ts-check
import * as api from "./api.js";
import { announce, fill, guarded, h, told as spoken } from "./dom.js";
import { t } from "./i18n.js";
import { meter } from "./meter.js";
import { assets, bench, handsKnown, heard, jobs, saveBench, takes } from "./store.js";

/** Milliseconds after which a stream that broke off is asked for again. */
const PATIENCE = 1500;

/** @param {Element} place */
export function makeScreen(place) {
  const frame = h("div", { class: "screen" });
  const told = h("div", { class: "grow told" });
  const progress = meter();
  const make = h("button", { class: "main", type: "button", id: "render", onclick: () => void render() }, t("Make the talk"));
  const stop = h("button", { class: "small", type: "button", hidden: true, onclick: () => void guarded(async () => { const id = takes.get(bench.take)?.job; if (id) heard("job", await api.post(`jobs/${id}/stop`, {})); }) }, t("Stop"));
  /** What is laid over the video: nothing, the face's landmarks or the hands that V2 will draw. */
  let shown = "";
  const laid = (/** @type {string} */ what, /** @type {string} */ text, /** @type {string} */ id) => h("button", { type: "button", class: "small", id, "aria-pressed": "false", onclick: () => { shown = shown === what ? "" : what; for (const one of marks.children) one.setAttribute("aria-pressed", String(one.id === id && shown === what)); over.remove(); mark(); } }, t(text));
  const marks = h("div", { class: "row", hidden: true, role: "group", "aria-label": t("Show") }, laid("landmarks", "Landmarks", "marks"), laid("pose", "Hands", "handmarks"));
  const offer = (/** @type {any} */ now) => { marks.hidden = !now?.ready; if (now) [now.editable, handsKnown(now)].forEach((one, i) => { /** @type {HTMLElement} */ (marks.children[i]).hidden = !one; }); };
  fill(place, frame, h("div", { class: "row making" }, make, told, stop, marks));
  let busy = false, again = false, shownStill = "", playing = "", brokenAt = 0, state = "", wanted = "";
  const video = h("video", { controls: true, playsInline: true, "aria-label": t("Play") });
  const over = h("img", { class: "over" });
  const hold = h("canvas", { class: "hold", "aria-hidden": "true" });
  let drawing = false;

  /** The room that pictures of this shape need, before they are there. @param {any} now a take, or what is known of a picture */
  const shape = (now) => { if (now?.width && now?.height) frame.style.setProperty("--ratio", String(now.width / now.height)); };

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

  /** The portrait as it is, until there is a still or a talk. */
  function portrait() {
    const asset = assets.get(bench.portrait);
    shape(asset?.info);
    const source = `api/assets/${bench.portrait}/picture?width=1024`, picture = frame.querySelector("img:not(.over)");
    if (!picture) fill(frame, h("img", { src: source, alt: t("Portrait"), "data-portrait": bench.portrait }));
    else if (picture.dataset.portrait !== bench.portrait) { picture.src = source; picture.dataset.portrait = bench.portrait; }
  }

  async function still(/** @type {number | undefined} */ time = undefined) {
    if (!bench.portrait) return;
    if (!playing) portrait();
    if ((bench.settings.model ?? "preview") !== "preview") return;
    if (busy) { again = true; return; }
    busy = true;
    const { model: _, ...settings } = bench.settings, of = bench.portrait;
    const asked = { portrait: of, request: { face: bench.face }, settings, ...(bench.speech && time !== undefined ? { speech: bench.speech, time } : {}) };
    // a portrait without a face has been told of where it was chosen
    const blob = await guarded(() => api.still(asked).catch((error) => { if (error.kind === "invalid" && /face/.test(error.message)) return null; throw error; }));
    busy = false;
    const picture = frame.querySelector("img:not(.over)");
    if (blob && !playing && picture && of === bench.portrait) {
      if (shownStill) URL.revokeObjectURL(shownStill);
      shownStill = URL.createObjectURL(blob);
      picture.onload = () => shape({ width: picture.naturalWidth, height: picture.naturalHeight });
      picture.src = shownStill;
    }
    if (again) { again = false; void still(time); }
  }

  async function render() {
    make.disabled = true;
    const job = await guarded(() => api.post("jobs", order(), { "Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random()) }));
    make.disabled = false;
    if (!job) return;
    place.scrollIntoView({ block: "nearest" });
    wanted = bench.take = job.take; saveBench(); heard("job", job); heard("opened", job);
    announce(t("The talk is being rendered; it plays while it grows."));
  }

  /** What is seen stays until the video that comes has a picture: nothing flickers or moves. @param {string} event what the new video tells then */
  function keepPicture(event) {
    const seen = video.isConnected && video.readyState > 1 ? video : frame.querySelector("img:not(.over)");
    const width = seen?.videoWidth || seen?.naturalWidth, height = seen?.videoHeight || seen?.naturalHeight;
    if (!width || !height) return;
    hold.width = width; hold.height = height;
    hold.getContext("2d").drawImage(seen, 0, 0, width, height);
    frame.append(hold);
    for (const kind of [event, "error"]) video.addEventListener(kind, () => hold.remove(), { once: true });
  }

  /** @param {any} take @param {boolean} start whether it shall be heard at once */
  function play(take, start) {
    const source = take.ready ? `api/takes/${take.id}/video?r=${take.revision}` : `api/takes/${take.id}/stream`;
    if (playing === source) return;
    const same = playing.includes(take.id), time = same ? video.currentTime : 0, going = start || (same && !video.paused && !video.ended);
    shape(take);
    if (!video.isConnected) fill(frame, video, frame.querySelector("img:not(.over)"));
    playing = source;
    keepPicture(time ? "seeked" : "loadeddata");
    for (const old of frame.querySelectorAll("img:not(.over)")) old.remove();
    video.src = source;
    if (take.ready) video.addEventListener("loadedmetadata", () => { video.currentTime = Math.min(time, video.duration || time); }, { once: true });
    if (going) video.play().catch(() => undefined);
    offer(take);
  }

  video.addEventListener("error", () => {
    if (!playing.endsWith("/stream")) return;
    playing = ""; brokenAt = Date.now(); fill(frame); portrait();
  });

  function job(/** @type {any} */ now) {
    const open = now.state === "queued" || now.state === "running";
    stop.hidden = !open;
    if (now.state !== state) { state = now.state; if (state !== "queued") announce([t(state), spoken(now.error ?? "")].filter(Boolean).join(": ")); }
    if (!open) { fill(told, now.state === "done" ? null : h("p", { class: "bad" }, spoken(now.error ?? t(now.state)))); return; }
    progress.show(now);
    if (!progress.bar.isConnected) fill(told, progress.bar, progress.line);
    const take = takes.get(now.take);
    if (now.lane === "preview" && now.stage === "rendering" && now.kind === "render" && now.done > 8 && take && Date.now() - brokenAt > PATIENCE) play({ ...take, ready: false }, !playing);
  }

  function take(/** @type {any} */ now) {
    if (!now.ready) return;
    play(now, wanted === now.id);
    wanted = "";
  }

  function draw() {
    const now = takes.get(bench.take), running = now && jobs.get(now.job);
    if (!playing.includes(bench.take || "-")) { playing = ""; video.pause(); }
    make.disabled = !(bench.portrait && bench.speech);
    stop.hidden = true;
    offer(now);
    if (running) job(running); else fill(told);
    if (now?.ready) { play(now, false); return; }
    if (playing) return;
    if (!bench.portrait) fill(frame, h("p", {}, t("Choose a portrait to begin."))); else { if (video.isConnected) fill(frame); void still(); }
    if (bench.portrait && !bench.speech) fill(told, h("p", { class: "hint" }, t("Now choose what is to be said.")));
  }

  return { draw, render, take, job, video, offer, still: () => { if (playing) { playing = ""; video.pause(); marks.hidden = true; over.remove(); hold.remove(); fill(frame); } void still(); },
    close: () => { video.pause(); video.removeAttribute("src"); if (shownStill) URL.revokeObjectURL(shownStill); } };
}
