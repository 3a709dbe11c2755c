// The page of `echomimic live`.
// @ts-check
import { language, setLanguage } from "./i18n.js";
import { liveView } from "./live.js";

setLanguage(language);
/** @type {{voice?: boolean}} */ const facts = await fetch("api/live/facts").then((answer) => (answer.ok ? answer.json() : {})).catch(() => ({}));
liveView(/** @type {Element} */ (document.getElementById("main")), "", "api/live/portrait", Boolean(facts.voice));
