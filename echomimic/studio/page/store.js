// What the page knows: assets, takes, jobs by id, what is chosen, and who wants to hear of changes.
// @ts-check
import * as api from "./api.js";

/** @type {Map<string, any>} */ export const assets = new Map();
/** @type {Map<string, any>} */ export const takes = new Map();
/** @type {Map<string, any>} */ export const jobs = new Map();
/** @type {any} */ export let options = null;
/** @type {any} */ export let status = null;

/** What the bench works on; kept in the browser, so that a reload goes on. */
export const bench = Object.assign(
  { portrait: "", speech: "", face: 0, driver: "auto", settings: /** @type {Record<string, any>} */ ({}), take: "", text: "", pair: /** @type {string[]} */ ([]) },
  read("echomimic-bench"),
);

/** @type {Set<(kind: string, value: any) => void>} */
const listeners = new Set();
/** @param {(kind: string, value: any) => void} listener @returns {() => void} */
export function listen(listener) { listeners.add(listener); return () => { listeners.delete(listener); }; }
/** @param {string} kind @param {any} [value] */
export function tell(kind, value) { for (const listener of [...listeners]) listener(kind, value); }

export function saveBench() { localStorage.setItem("echomimic-bench", JSON.stringify(bench)); tell("bench"); }
/** @param {string} key */
function read(key) { try { return JSON.parse(localStorage.getItem(key) ?? "{}"); } catch { return {}; } }

const maps = { asset: assets, take: takes, job: jobs };

/** @param {string} kind @param {any} value */
export function heard(kind, value) {
  if (kind === "asset" || kind === "take" || kind === "job") maps[kind].set(value.id, value);
  if (kind === "gone") maps[/** @type {"asset"} */ (value.kind)]?.delete(value.id);
  if (kind === "queue") for (const [id, position] of Object.entries(value.positions)) if (jobs.has(id)) jobs.get(id).position = position;
  if (kind === "status") status = { ...status, ...value };
  if (kind === "reset" || kind === "hello") void load();
  tell(kind, value);
}

/** Where the list of takes goes on that are older than those here; nothing when all are here. */
export let older = "";
const PAGE = "limit=200";

/** Everything anew, the newest of each. */
export async function load() {
  const [found, made, queue, facts, choices] = await Promise.all([
    api.get(`assets?${PAGE}`), api.get(`takes?${PAGE}`), api.get(`jobs?${PAGE}`), api.get("status"), options ?? api.get("options"),
  ]);
  for (const [map, list] of /** @type {[Map<string, any>, any[]][]} */ ([[assets, found.assets], [takes, made.takes], [jobs, queue.jobs]])) {
    map.clear();
    for (const item of list) map.set(item.id, item);
  }
  status = facts;
  options = choices;
  older = made.next ?? "";
  await Promise.all([knowAsset(bench.portrait), knowAsset(bench.speech), knowTake(bench.take)]);
  tell("loaded");
}

/** What the bench works on may be older than the lists: it is asked for by itself. @param {string} id */
export async function knowAsset(id) { if (id && !assets.has(id)) await api.get(`assets/${id}`).then((asset) => assets.set(id, asset), () => undefined); }
/** @param {string} id */
async function knowTake(id) { if (id && !takes.has(id)) await api.get(`takes/${id}`).then((take) => takes.set(id, take), () => undefined); }

/** The next older takes. */
export async function loadOlder() {
  const found = await api.get(`takes?${PAGE}&before=${older}`);
  for (const take of found.takes) takes.set(take.id, take);
  older = found.next ?? "";
  tell("loaded");
}

/** Takes with a star, of any age. */
export async function loadStarred() { for (const take of (await api.get(`takes?${PAGE}&star=true`)).takes) takes.set(take.id, take); }

export const newestFirst = (/** @type {Iterable<any>} */ items) => [...items].sort((a, b) => b.created - a.created);
export const waiting = () => [...jobs.values()].filter((job) => job.state === "queued" || job.state === "running");

/** Takes whose portrait shows no hands. @type {Set<string>} */
export const handless = new Set();

/** Whether the server can tell what the hands of a take do: it does not follow a clip or a face. @param {any} take */
export function handsKnown(take) {
  const driver = take.request.driver ?? "auto", asset = assets.get(driver);
  return !handless.has(take.id) && (driver === "auto" || driver === "none" || Boolean(asset?.kind === "motion" && asset.info.body));
}
