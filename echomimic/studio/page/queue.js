// The queue: what waits and runs, what became of it, which models are there, how much room is used.
// @ts-check
import * as api from "./api.js";
import { clock, fill, guarded, h, size, toast } from "./dom.js";
import { remark, t } from "./i18n.js";
import { assets, heard, jobs, listen, load, options, status, takes } from "./store.js";

const RANK = { running: 0, queued: 1 };

/** @param {Element} main */
export function show(main) {
  const list = h("ul", { class: "jobs", "aria-label": t("Queue") }), side = h("div", { class: "column" });
  fill(main, h("div", { class: "bench two" }, h("section", { class: "card stack" }, h("h2", {}, t("Queue")), list), side));
  const draw = () => {
    const sorted = [...jobs.values()].sort((a, b) => (RANK[/** @type {"running"} */ (a.state)] ?? 2) - (RANK[/** @type {"running"} */ (b.state)] ?? 2) || a.lane.localeCompare(b.lane) || (a.state === "queued" ? a.position - b.position : b.created - a.created));
    fill(list, sorted.length ? sorted.map((job) => row(job, sorted)) : h("li", { class: "empty" }, t("Nothing waits. Jobs that you start appear here, and go on when this page is closed.")));
  };
  const drawSide = () => fill(side, models(), room());
  draw(); drawSide();
  return listen((kind) => { if (["job", "queue", "gone", "loaded"].includes(kind)) draw(); if (["status", "loaded"].includes(kind)) drawSide(); });
}

/** @param {any} job @param {any[]} all */
function row(job, all) {
  const act = (/** @type {string} */ what, /** @type {any} */ body = {}) => () => void guarded(async () => { const got = await api.post(`jobs/${job.id}/${what}`, body); for (const one of got.jobs ?? [got]) heard("job", one); });
  const lane = all.filter((one) => one.lane === job.lane && one.state === "queued");
  const at = lane.indexOf(job);
  const busy = job.state === "running" || job.state === "queued";
  const part = job.fraction === null ? null : Math.round(100 * job.fraction);
  const take = takes.get(job.take);
  const source = job.preview ? `api/jobs/${job.id}/preview?n=${job.preview}` : take?.ready ? `api/takes/${take.id}/thumb?r=${take.revision}` : take ? `api/assets/${take.portrait}/picture?width=320` : "";
  const picture = source ? h("img", { src: source, alt: "", class: job.preview || take?.ready ? "" : "pending" }) : h("span", { class: "nothing", "aria-hidden": "true" }, "↓");
  return h("li", { class: "job" }, picture, h("div", { class: "stack", style: { gap: "4px" } }, h("div", {}, h("strong", {}, name(job)), " ", h("span", { class: job.state === "failed" ? "bad" : job.state === "done" ? "good" : "hint" }, `${t(job.state)}${job.state === "queued" ? ` · ${job.position}` : ""}`)),
    job.state === "running" ? h("div", { class: part === null ? "bar unknown" : "bar", role: "progressbar", "aria-valuenow": part ?? undefined, "aria-label": job.stage || t("running") }, h("i", { style: { width: part === null ? "30%" : `${part}%` } })) : null,
    job.state === "running" ? h("span", { class: "hint" }, `${t(job.stage)} ${job.total ? (job.kind === "weights" ? `${size(job.done)} / ${size(job.total)}` : `${job.done}/${job.total}`) : ""} ${job.note} ${job.left ? `· ${clock(job.left)} ${t("left")}` : ""}`) : null,
    job.error ? h("span", { class: "bad" }, job.error) : null, job.notes.map((/** @type {string} */ note) => h("span", { class: "hint" }, remark(note)))),
    h("div", { class: "row" }, job.state === "queued" && at > 0 ? h("button", { class: "small", type: "button", onclick: act("move", { before: lane[at - 1].id }) }, t("Earlier")) : null,
      job.state === "queued" && at < lane.length - 1 ? h("button", { class: "small", type: "button", onclick: act("move", { before: lane[at + 2]?.id ?? null }) }, t("Later")) : null,
      busy ? h("button", { class: "small", type: "button", onclick: act("stop") }, t("Stop")) : null, job.state === "failed" || job.state === "stopped" ? h("button", { class: "small", type: "button", onclick: act("retry") }, t("Retry")) : null,
      busy ? null : h("button", { class: "small quiet", type: "button", onclick: () => void guarded(async () => { await api.remove(`jobs/${job.id}`); heard("gone", { kind: "job", id: job.id }); }) }, t("Forget"))));
}

/** @param {any} job */
function name(job) {
  if (job.kind === "weights") return `${t("Files of")} ${job.model}`;
  const take = takes.get(job.take);
  const plain = take ? take.name || [take.model, assets.get(take.portrait)?.name, assets.get(take.speech)?.name].filter(Boolean).join(" · ") : job.title || job.model;
  return job.kind === "edit" ? `${t("Edit of")} ${plain}` : plain;
}

function models() {
  return h("section", { class: "card stack" }, h("h2", {}, t("Models")), options.models.map((/** @type {any} */ m) => h("div", { class: "model" }, h("div", { class: "row spread" }, h("strong", {}, m.name), m.ready ? h("span", { class: "good" }, t("ready")) : m.bytes ? h("button", { class: "small", type: "button",
    onclick: () => void guarded(async () => heard("job", await api.post("jobs", { kind: "weights", model: m.name }))) }, `${t("Fetch the files")} (${size(m.missing_bytes || m.bytes)})`) : null), h("span", { class: "hint" }, m.title), m.ready || !m.remedy ? null : h("details", { class: "hint" }, h("summary", {}, t("What is missing")), m.state))));
}

function room() {
  const s = status?.sizes;
  if (!s) return null;
  const clean = () => void guarded(async () => { const done = await api.post("clean", { days: 30, keep_starred: true, dry_run: false }); toast(`${size(done.bytes)} ${t("freed")}`, true); await load(); });
  return h("section", { class: "card stack" }, h("h2", {}, t("Storage")), h("dl", { class: "facts" }, h("dt", {}, t("Takes")), h("dd", {}, size(s.takes)), h("dt", {}, t("What you gave")), h("dd", {}, size(s.assets)), h("dt", {}, t("Free")), h("dd", {}, size(s.free))), h("button", { type: "button", class: "small", onclick: clean }, t("Remove takes older than 30 days (starred ones stay)")));
}
