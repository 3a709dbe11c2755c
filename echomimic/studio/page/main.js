// The page: screens by address (#bench, #takes, …), language, light and dark, the connection.
// @ts-check
import * as api from "./api.js";
import * as bench from "./bench.js";
import { takeDrops } from "./drop.js";
import { fill, guarded, h } from "./dom.js";
import { language, setLanguage, t } from "./i18n.js";
import { liveView } from "./live.js";
import * as queue from "./queue.js";
import { bench as chosen, heard, listen, load, options, waiting } from "./store.js";
import * as takes from "./takes.js";

/** @type {Record<string, {title: string, show: (main: Element) => () => void}>} */
export const SCREENS = {
  bench: { title: "Bench", show: bench.show }, takes: { title: "Takes", show: takes.show }, compare: { title: "Compare", show: takes.compare }, queue: { title: "Queue", show: queue.show }, live: { title: "Live", show: showLive },
};

/** @param {Element} place */
function showLive(place) {
  if (!chosen.portrait) { fill(place, h("p", { class: "empty" }, t("Choose a portrait to begin."))); return () => undefined; }
  return liveView(place, `?portrait=${chosen.portrait}&face=${chosen.face}`, `api/assets/${chosen.portrait}/picture?width=1024`);
}

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const nav = /** @type {HTMLElement} */ (document.getElementById("nav"));
let leave = () => undefined;

const current = () => (location.hash.slice(1) in SCREENS ? location.hash.slice(1) : "bench");

let drawn = "";

function drawNav() {
  const count = waiting().length, state = `${current()} ${count} ${language}`;
  if (drawn === state) return; // the same links stay: one can be pressed while jobs tell how far they are
  drawn = state;
  nav.setAttribute("aria-label", t("Screens"));
  fill(nav, Object.entries(SCREENS).map(([name, screen]) => h("a", { href: `#${name}`, "aria-current": current() === name ? "page" : undefined }, t(screen.title), name === "queue" && count ? h("span", { class: "count" }, count) : null)));
}

function draw() {
  leave();
  drawNav();
  document.title = `${t(SCREENS[current()].title)} · EchoMimic Studio`;
  leave = /** @type {any} */ (SCREENS[current()].show(main));
}

function theme() {
  const button = /** @type {HTMLElement} */ (document.getElementById("theme"));
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const kept = localStorage.getItem("echomimic-theme");
  if (kept) document.documentElement.dataset.theme = kept;
  const say = () => { button.textContent = t(dark() ? "Light" : "Dark"); };
  button.onclick = () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; localStorage.setItem("echomimic-theme", document.documentElement.dataset.theme); say(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", say);
  say();
  return say;
}

async function start() {
  setLanguage(language);
  const sayTheme = theme();
  const choice = /** @type {HTMLSelectElement} */ (document.getElementById("language"));
  choice.value = language;
  choice.onchange = () => { setLanguage(choice.value); sayTheme(); draw(); };
  listen((kind) => { if (["job", "queue", "loaded", "gone"].includes(kind)) drawNav(); });
  try { await api.get("sizes"); } catch (error) {
    if (/** @type {any} */ (error).kind === "unauthorized") { askToken(); return; }
    fill(main, h("p", { class: "empty bad" }, String(error)));
    setTimeout(start, 2000);
    return;
  }
  await guarded(load);
  if (options) draw();
  window.onhashchange = () => { draw(); scrollTo(0, 0); main.focus({ preventScroll: true }); };
  const connection = /** @type {HTMLElement} */ (document.getElementById("connection"));
  api.follow(heard, (open) => { connection.textContent = open ? "" : t("Not connected, trying again …"); }, askToken);
  takeDrops(async () => { location.hash = "#bench"; await new Promise((resolve) => addEventListener("hashchange", resolve, { once: true })); });
}

function askToken() {
  leave(); leave = () => undefined;
  window.onhashchange = null; fill(nav); drawn = "";
  const field = h("input", { type: "text", id: "token", autocomplete: "off" });
  const enter = async (/** @type {Event} */ event) => { event.preventDefault(); if ((await guarded(async () => { await api.post("login", { token: field.value.trim().split("token=").at(-1) }); return true; }))) location.reload(); };
  fill(main, h("form", { class: "card stack", style: { "max-width": "460px", margin: "60px auto" }, onsubmit: enter }, h("h2", {}, t("This page needs the studio's token")), h("label", { for: "token", class: "hint" }, t("The first line that `echomimic studio` printed ends with it. Paste that address, or what follows token=.")), field, h("button", { class: "main" }, t("Open"))));
}

void start();
