// How far a job is: one bar and one line, changed in place, so that what stands beside them can be pressed meanwhile.
// @ts-check
import { clock, h, size } from "./dom.js";
import { t } from "./i18n.js";

/** @returns {{bar: any, line: any, show: (job: any) => void}} */
export function meter() {
  const inside = h("i", {}), bar = h("div", { class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, inside), line = h("span", { class: "hint" });
  const show = (/** @type {any} */ job) => {
    const part = job.fraction ?? null;
    bar.classList.toggle("unknown", part === null);
    if (part === null) bar.removeAttribute("aria-valuenow"); else bar.setAttribute("aria-valuenow", String(Math.round(100 * part)));
    bar.setAttribute("aria-label", t(job.stage || job.state));
    inside.style.width = part === null ? "30%" : `${(100 * part).toFixed(1)}%`;
    const done = job.total ? (job.kind === "weights" ? `${size(job.done)} / ${size(job.total)}` : `${job.done}/${job.total}`) : "";
    const words = [t(job.stage || job.state), done, job.note].filter(Boolean).join(" ");
    line.textContent = [words, job.left ? `${clock(job.left)} ${t("left")}` : ""].filter(Boolean).join(" · ");
  };
  return { bar, line, show };
}
