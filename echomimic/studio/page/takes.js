// Takes: what came out; two of them can be compared.
// @ts-check
import * as api from "./api.js";
import { clock, fill, guarded, h, size, toast } from "./dom.js";
import { t, title } from "./i18n.js";
import { assets, bench, heard, knowAsset, listen, loadOlder, loadStarred, newestFirst, older, options, saveBench, takes } from "./store.js";

/** Two takes to compare, kept over a reload. @param {string[]} ids */
const choose = (ids) => { bench.pair = ids.slice(-2); saveBench(); };
const pair = () => /** @type {string[]} */ (bench.pair);
let starred = false;
/** @type {Set<string>} */ const measured = new Set();

/** @param {Element} main */
export function show(main) {
  const draw = () => {
    const all = newestFirst(takes.values()).filter((take) => !starred || take.star);
    const filter = h("button", { type: "button", class: "small", "aria-pressed": String(starred), onclick: () => void guarded(async () => { starred = !starred; if (starred && older) await loadStarred(); draw(); }) }, `★ ${t("Only starred")}`);
    const compare = h("a", { class: "button small", href: "#compare" }, `${t("Compare")} (${pair().length}/2)`);
    fill(main, h("div", { class: "row spread", style: { "margin-bottom": "14px" } }, h("h2", {}, t("Takes")), h("div", { class: "row" }, filter, compare)), all.length ? [h("div", { class: "takes" }, all.map((take) => card(take, draw))), older && !starred ? h("div", { class: "row", style: { "justify-content": "center", "margin-top": "16px" } }, h("button", { type: "button", onclick: () => void guarded(loadOlder) }, t("Show older takes"))) : null] : h("p", { class: "empty" }, t("There are no takes yet. Make one on the bench."), h("br"), h("br"), h("a", { class: "button", href: "#bench" }, t("Bench"))));
  };
  draw();
  return listen((kind) => { if (["take", "gone", "loaded"].includes(kind) && !main.contains(document.querySelector("input:focus"))) draw(); });
}

/** A value for people: what has a name is called by it. @param {any} value */
const shown = (value) => { const one = takes.get(value) ?? assets.get(value); return one ? one.name || `${title("take")} ${String(value).slice(0, 6)}` : value; };

/** @param {any} take @param {() => void} draw */
function card(take, draw) {
  const open = () => { Object.assign(bench, { take: take.id, portrait: take.portrait, speech: take.speech, settings: { ...take.settings }, face: take.request.face ?? 0, driver: take.request.driver ?? "auto" }); saveBench(); void guarded(async () => { await Promise.all([knowAsset(take.portrait), knowAsset(take.speech)]); location.hash = "#bench"; }); };
  const change = (/** @type {any} */ what) => guarded(async () => heard("take", await api.patch(`takes/${take.id}`, what)));
  const name = h("input", { type: "text", value: take.name, placeholder: `${take.model} · ${title("seed")} ${take.seed}`, "aria-label": t("Name"), title: take.name, maxLength: 200, onchange: () => void change({ name: name.value }) });
  const differs = take.differs.slice(0, 3).map((/** @type {any} */ d) => `${title(d.name)} ${shown(d.value)}`).join(", ");
  const again = h("select", { "aria-label": t("Same again with"), onchange: () => again.value && void guarded(async () => { heard("job", await api.post("jobs", { take: take.id, settings: { model: again.value } })); location.hash = "#queue"; }) },
    h("option", { value: "" }, `${t("Same again with")} …`), options.models.map((/** @type {any} */ m) => h("option", { value: m.name }, m.name)));
  const chosen = pair().includes(take.id);
  return h("article", { class: chosen ? "card take chosen" : "card take", "aria-label": take.name || take.id },
    h("button", { class: "thumb", type: "button", "aria-label": `${t("Open")} ${take.name || take.model}`, onclick: open }, h("img", { src: take.ready ? `api/takes/${take.id}/thumb?r=${take.revision}` : `api/assets/${take.portrait}/picture?width=320`, class: take.ready ? "" : "pending", alt: "", loading: "lazy" })), name,
    h("span", { class: "hint" }, take.ready ? `${take.model} · ${clock(take.seconds)} · ${take.width}×${take.height} · ${size(take.bytes)}` : `${take.model} · ${t(take.state)}`), differs ? h("span", { class: "hint lines", title: differs }, `${t("differs in")}: ${differs}`) : null, evaluation(take),
    h("div", { class: "row" }, h("button", { class: "small", type: "button", "aria-pressed": String(take.star), "aria-label": t(take.star ? "Unstar" : "Star"), title: t(take.star ? "Unstar" : "Star"), onclick: () => void change({ star: !take.star }) }, take.star ? "★" : "☆"),
      take.ready ? h("a", { class: "button small", href: `api/takes/${take.id}/video?download=1`, download: "" }, t("Download")) : null,
      h("button", { class: "small", type: "button", "aria-pressed": String(chosen), "aria-label": t("Choose to compare"), title: t("Choose to compare"), disabled: !take.ready, onclick: () => { choose(chosen ? pair().filter((id) => id !== take.id) : [...pair(), take.id]); draw(); } }, "⇄"),
      h("button", { class: "small quiet", type: "button", onclick: () => { if (confirm(t("Really delete this take?"))) void guarded(() => api.remove(`takes/${take.id}`)).then(() => { takes.delete(take.id); choose(pair().filter((id) => id !== take.id)); draw(); }); } }, t("Delete"))), take.ready ? again : null);
}

/** @param {any} take */
function evaluation(take) {
  if (!take.ready) return null;
  const place = h("div", {});
  const shown = (/** @type {any} */ found) => fill(place, figures(found));
  if (take.evaluation) { shown(take.evaluation); return h("details", { open: measured.has(take.id) }, h("summary", {}, t("Evaluate")), place); }
  const button = h("button", { class: "small", type: "button", onclick: () => void guarded(async () => { button.disabled = true; button.textContent = t("Measuring …"); measured.add(take.id); try { const found = await api.get(`takes/${take.id}/evaluation`); takes.set(take.id, { ...takes.get(take.id), evaluation: found }); shown(found); button.remove(); } finally { button.disabled = false; button.textContent = t("Evaluate"); } }) }, t("Evaluate"));
  return h("div", {}, button, place);
}

/** What was measured, by group, and where it is worst. @param {any} found */
function figures(found) {
  const measured = found.figures.filter((/** @type {any} */ f) => f.value !== null);
  const groups = [...new Set(measured.map((/** @type {any} */ f) => f.group))];
  const rows = groups.flatMap((group) => [h("tr", {}, h("th", { colSpan: 2, scope: "rowgroup" }, t(String(group)))),
    ...measured.filter((/** @type {any} */ f) => f.group === group).map((/** @type {any} */ f) => h("tr", { title: [f.note, f.wanted].filter(Boolean).join(" · ") }, h("th", { scope: "row" }, t(f.title)), h("td", { class: { good: "good", poor: "bad" }[/** @type {"good"} */ (f.verdict)] ?? "" }, `${f.shown} ${f.unit}`.trim(), f.verdict ? h("span", { class: "offscreen" }, ` ${t(f.verdict)}`) : null, { good: " ✓", poor: " !" }[/** @type {"good"} */ (f.verdict)] ?? "")))]);
  const worst = (found.worst ?? []).slice(0, 3).map((/** @type {any} */ w) => h("li", {}, `${clock(w.seconds)} ${t(w.title)}: ${w.text}`));
  return [h("table", { class: "figures" }, h("tbody", {}, rows)), worst.length ? h("ul", { class: "worst", "aria-label": t("Where it is worst") }, worst) : null, ...(found.notes ?? []).map((/** @type {string} */ note) => h("p", { class: "hint" }, note))];
}

/** Two takes, side by side or behind a wipe, in step. @param {Element} main */
export function compare(main) {
  const chosen = pair().map((id) => takes.get(id)).filter((take) => take?.ready);
  if (chosen.length < 2) { fill(main, h("p", { class: "empty" }, t("Choose two takes to compare."), h("br"), h("br"), h("a", { class: "button", href: "#takes" }, t("Takes")))); return () => undefined; }
  let wipe = false;
  const videos = chosen.map((take, i) => h("video", { src: `api/takes/${take.id}/video?r=${take.revision}`, playsInline: true, loop: true, muted: i === 1, preload: "auto", "aria-label": take.name || take.model }));
  const play = h("button", { class: "main", type: "button", onclick: () => { if (videos[0].paused) { videos[1].currentTime = videos[0].currentTime; videos.forEach((v) => void v.play().catch((/** @type {Error} */ e) => toast(e.message))); } else videos.forEach((v) => v.pause()); } }, t("Play both"));
  videos[0].onplay = videos[0].onpause = () => { play.textContent = t(videos[0].paused ? "Play both" : "Pause"); };
  const seek = h("input", { type: "range", min: 0, max: Math.min(chosen[0].seconds, chosen[1].seconds), step: 0.04, value: 0, "aria-label": t("Play"), oninput: () => videos.forEach((v) => { v.currentTime = Number(seek.value); }) });
  videos[0].ontimeupdate = () => { seek.value = videos[0].currentTime; if (Math.abs(videos[1].currentTime - videos[0].currentTime) > 0.06) videos[1].currentTime = videos[0].currentTime; };
  const holder = h("div", { class: "compare side" });
  const slide = h("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": t("Wipe"), oninput: () => holder.style.setProperty("--wipe", `${slide.value}%`) });
  const caption = (/** @type {any} */ take) => h("span", { class: "hint lines", title: take.name }, [take.name || take.model, `${title("seed")} ${take.seed}`, ...Object.entries(take.settings).filter(([k]) => k !== "seed" && k !== "model").map(([k, v]) => `${title(k)} ${v}`)].join(" · "));
  const arrange = () => {
    holder.className = wipe ? "compare wipe" : "compare side";
    fill(holder, wipe ? [h("div", { class: "pair" }, videos), h("div", { class: "row spread" }, chosen.map(caption)), h("label", { class: "slider" }, t("Wipe"), slide)] : videos.map((v, i) => h("div", { class: "stack" }, v, caption(chosen[i]))));
  };
  const mode = h("button", { type: "button", onclick: () => { wipe = !wipe; mode.textContent = t(wipe ? "Side by side" : "Wipe"); arrange(); } }, t("Wipe"));
  arrange();
  fill(main, h("div", { class: "stack" }, h("div", { class: "row spread" }, h("h2", {}, t("Compare")), h("div", { class: "row" }, mode, play)), holder, h("label", { class: "slider" }, t("Play"), seek)));
  return () => videos.forEach((v) => v.pause());
}
