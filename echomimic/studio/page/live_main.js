// The page of `echomimic live`.
// @ts-check
import { language, setLanguage } from "./i18n.js";
import { liveView } from "./live.js";

setLanguage(language);
liveView(/** @type {Element} */ (document.getElementById("main")), "", "api/live/portrait");
