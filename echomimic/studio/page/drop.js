// What is dropped or pasted: sorted by what it is, wherever it falls, so that a file never replaces the page.
// @ts-check
import { toast } from "./dom.js";
import { t } from "./i18n.js";

/** @typedef {"portrait" | "speech" | "motion" | ""} Kind */

/** @type {((file: File, kind: Kind) => void) | null} */ let receiver = null;
/** Who gets what falls beside the zones. @param {(file: File, kind: Kind) => void} taker @returns {() => void} */
export function receive(taker) { receiver = taker; return () => { if (receiver === taker) receiver = null; }; }

/** What a file seems to be. @param {File} file @returns {Kind} */
export function kindOf(file) {
  if (file.type.startsWith("image/")) return "portrait";
  if (file.type.startsWith("audio/") || file.type.startsWith("video/")) return "speech";
  return /\.npz$/i.test(file.name) ? "motion" : "";
}

/** The files that are carried; of folders, and of things from other sites, it is said why not. @param {DataTransfer} carried */
export function filesOf(carried) {
  const items = [...carried.items].filter((item) => item.kind === "file");
  const folder = items.map((item) => item.webkitGetAsEntry?.()?.isDirectory ?? false);
  if (folder.some(Boolean)) toast(t("That is a folder. Drop the file itself."));
  else if (!items.length && [...carried.types].some((type) => type.startsWith("text/"))) toast(t("That is an address or a text. Nothing is fetched from other sites: save the file first, then give it."));
  return [...carried.files].filter((_, i) => !folder[i]);
}

/** Lets files be dropped anywhere on the page. @param {() => Promise<void>} prepare opens the screen that takes them, where none does */
export function takeDrops(prepare) {
  const over = (/** @type {DragEvent} */ event) => { event.preventDefault(); document.body.classList.toggle("dragging", [...(event.dataTransfer?.types ?? [])].includes("Files")); };
  addEventListener("dragover", over);
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
  addEventListener("drop", (event) => {
    document.body.classList.remove("dragging");
    if (event.defaultPrevented || !event.dataTransfer) return;
    event.preventDefault();
    const files = filesOf(event.dataTransfer);
    if (files.length) void hand(files, prepare);
  });
}

/** @param {File[]} files @param {() => Promise<void>} prepare */
async function hand(files, prepare) {
  if (!receiver) await prepare();
  /** @type {Set<Kind>} */ const seen = new Set();
  for (const file of files) {
    const kind = kindOf(file);
    if (!kind) toast(`${file.name}: ${t("this is neither a picture nor a sound, a video or a motion file")}`);
    else if (!seen.has(kind)) receiver?.(file, kind);
    seen.add(kind);
  }
}
