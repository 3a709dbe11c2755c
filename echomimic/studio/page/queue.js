// The queue: what waits and runs, what became of it, which models are there, how much room is used.
// @ts-check
import * as api from "./api.js";
import { fill, guarded, h, size, toast, told } from "./dom.js";
import { t } from "./i18n.js";
import { meter } from "./meter.js";
import { assets, heard, jobs, listen, load, options, status, takes } from "./store.js";

const RANK = { running: 0, queued: 1 };

/** @param {Element} main */
export function show(main) {
  const list = h("ul", { class: "jobs", "aria-label": t("Queue") }), side = h("div", { class: "column" });
  fill(main, h("div", { class: "bench two" }, h("section", { class: "card stack" }, h("h2", {}, t("Queue")), list), side));
  /** The rows that are shown, by job. @type {Map<string, ReturnType<typeof row>>} */ let rows = new Map();
  const draw = () => {
    const sorted = [...jobs.values()].sort((a, b) => (RANK[/** @type {"running"} */ (a.state)] ?? 2) - (RANK[/** @type {"running"} */ (b.state)] ?? 2) || a.lane.localeCompare(b.lane) || (a.state === "queued" ? a.position - b.position : b.created - a.created));
    /** @type {typeof rows} */ const now = new Map();
    for (const job of sorted) {
      const facts = about(job, sorted), old = rows.get(job.id);
      now.set(job.id, old?.key === keyOf(facts) ? old : row(job, facts));
      now.get(job.id)?.progress(job);
    }
    // a row that says the same stays the same element: a button can be pressed while the bar beside it moves
    if (![...now.values()].every((one, i) => list.children[i] === one.element) || now.size !== list.children.length || !now.size) fill(list, now.size ? [...now.values()].map((one) => one.element) : h("li", { class: "empty" }, t("Nothing waits. Jobs that you start appear here, and go on when this page is closed.")));
    rows = now;
  };
  const drawSide = () => fill(side, models(), room());
  draw(); drawSide();
  return listen((kind) => { if (["job", "queue", "gone", "loaded", "take"].includes(kind)) draw(); if (["status", "loaded"].includes(kind)) drawSide(); });
}

/** @param {any} facts */
const keyOf = (facts) => JSON.stringify(facts);

/** What a row says besides how far its job is. @param {any} job @param {any[]} all */
function about(job, all) {
  const lane = all.filter((one) => one.lane === job.lane && one.state === "queued"), at = lane.indexOf(job), take = takes.get(job.take);
  return { name: name(job), state: job.state, position: job.position, error: job.error, notes: job.notes, ready: Boolean(take?.ready), revision: take?.revision, portrait: take?.portrait,
    before: at > 0 ? lane[at - 1].id : "", after: at >= 0 && at < lane.length - 1 ? lane[at + 2]?.id ?? null : "" };
}

/** @param {any} job @param {ReturnType<typeof about>} facts */
function row(job, facts) {
  const act = (/** @type {string} */ what, /** @type {any} */ body = {}) => () => void guarded(async () => { const got = await api.post(`jobs/${job.id}/${what}`, body); for (const one of got.jobs ?? [got]) heard("job", one); });
  const small = (/** @type {string} */ text, /** @type {() => void} */ press, look = "small") => h("button", { class: look, type: "button", "aria-label": `${t(text)}: ${facts.name}`, onclick: press }, t(text));
  const running = job.state === "running", busy = running || job.state === "queued", how = meter();
  const still = facts.ready ? `api/takes/${job.take}/thumb?r=${facts.revision}` : facts.portrait ? `api/assets/${facts.portrait}/picture?width=320` : "";
  const picture = still ? h("img", { src: still, alt: "", class: facts.ready ? "" : "pending" }) : h("span", { class: "nothing", "aria-hidden": "true" }, "↓");
  const forget = () => void guarded(async () => { await api.remove(`jobs/${job.id}`); heard("gone", { kind: "job", id: job.id }); });
  const element = h("li", { class: "job" }, picture, h("div", { class: "stack", style: { gap: "4px" } }, h("div", { class: "title" }, h("strong", { class: "lines", title: facts.name }, facts.name), h("span", { class: job.state === "failed" ? "bad" : job.state === "done" ? "good" : "hint" }, `${t(job.state)}${job.state === "queued" ? ` · ${job.position}` : ""}`)),
    running ? [how.bar, how.line] : null, job.error ? h("span", { class: "bad" }, told(job.error)) : null, job.notes.map((/** @type {string} */ note) => h("span", { class: "hint" }, told(note)))),
    h("div", { class: "row" }, facts.before ? small("Earlier", act("move", { before: facts.before })) : null, facts.after !== "" ? small("Later", act("move", { before: facts.after })) : null,
      busy ? small("Stop", act("stop")) : null, job.state === "failed" || job.state === "stopped" ? small("Retry", act("retry")) : null, busy ? null : small("Forget", forget, "small quiet")));
  const progress = (/** @type {any} */ now) => {
    if (running) how.show(now);
    const source = now.preview && !facts.ready ? `api/jobs/${now.id}/preview?n=${now.preview}` : "";
    if (source && picture.getAttribute("src") !== source) { picture.src = source; picture.className = ""; }
  };
  return { key: keyOf(facts), element, progress };
}

/** @param {any} job */
function name(job) {
  if (job.kind === "weights") return `${t("Files of")} ${job.model}`;
  const take = takes.get(job.take);
  const plain = take ? take.name || [take.model, assets.get(take.portrait)?.name, assets.get(take.speech)?.name].filter(Boolean).join(" · ") : job.title || job.model;
  return job.kind === "edit" ? `${t("Edit of")} ${plain}` : plain;
}

function models() {
  return h("section", { class: "card stack" }, h("h2", {}, t("Models")), options.models.map((/** @type {any} */ m) => h("div", { class: "model" }, h("div", { class: "row spread" }, h("strong", {}, m.name), m.ready ? h("span", { class: "good" }, t("ready")) : m.fetchable ? h("button", { class: "small", type: "button",
    onclick: () => void guarded(async () => heard("job", await api.post("jobs", { kind: "weights", model: m.name }))) }, `${t("Fetch")} ${size(m.missing_bytes || m.bytes)}`) : null), h("span", { class: "hint" }, m.title), m.ready || !m.remedy ? null : h("details", { class: "hint" }, h("summary", {}, t("What is missing")), m.fetchable ? m.state : `${m.state}: ${m.remedy}`))));
}

function room() {
  const s = status?.sizes;
  if (!s) return null;
  const clean = () => void guarded(async () => { const done = await api.post("clean", { days: 30, keep_starred: true, dry_run: false }); toast(`${size(done.bytes)} ${t("freed")}`, true); await load(); });
  return h("section", { class: "card stack" }, h("h2", {}, t("Storage")), h("dl", { class: "facts" }, h("dt", {}, t("Takes")), h("dd", {}, size(s.takes)), h("dt", {}, t("What you gave")), h("dd", {}, size(s.assets)), h("dt", {}, t("Free")), h("dd", {}, size(s.free))), h("button", { type: "button", class: "small", onclick: clean }, t("Remove takes older than 30 days (starred ones stay)")));
}
