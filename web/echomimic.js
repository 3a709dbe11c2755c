// EchoMimic on the page: opens workflows of the classic node pack, hides inputs without effect, shows a run's remarks.

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { ComfyWidgets } from "../../scripts/widgets.js";
import {
  LOADER,
  SAMPLERS,
  concernsUs,
  foldedNames,
  followMode,
  idleNames,
  message,
  missingKinds,
  promptConcernsUs,
  rareInputs,
  replaceIn,
} from "./echomimic_rules.js";

const NOTES = "notes";
const UNFOLDED = "EchoMimic: all inputs";
let idle = {};
const rare = {};

function say(severity, detail) {
  app.extensionManager?.toast?.add({ severity, summary: "EchoMimic", detail, life: 30000 });
}

/** Has the server bring an old workflow to today's nodes, before the page opens it. */
async function openOld(workflow, missing) {
  if (!concernsUs(workflow)) return;
  const body = { workflow, missing: missingKinds(workflow, LiteGraph.registered_node_types) };
  const answer = await api.fetchApi("/echomimic/open_workflow", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const made = await answer.json();
  if (!made.notes.length) return;
  replaceIn(workflow, made.workflow);
  dropFrom(missing, workflow);
  say("info", `A workflow of the classic EchoMimic nodes was brought to these:\n${message(made.notes)}`);
}

/** The same for a file in the API format. */
async function openOldPrompt(prompt) {
  if (!promptConcernsUs(prompt)) return prompt;
  const answer = await api.fetchApi("/echomimic/open_prompt", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ prompt }),
  });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const made = await answer.json();
  if (made.notes.length) say("info", `A prompt of the classic EchoMimic nodes was brought to these:\n${message(made.notes)}`);
  return made.prompt;
}

/** The page has no hook for files in the API format: they pass here first. */
function watchPrompts() {
  const load = app.loadApiJson;
  if (typeof load !== "function") return;
  app.loadApiJson = async function (prompt, ...rest) {
    try {
      prompt = await openOldPrompt(prompt);
    } catch (fault) {
      say("warn", `This prompt could not be brought to today's nodes: ${fault.message}`);
    }
    return load.call(this, prompt, ...rest);
  };
}

/** Kinds that are gone from the workflow are not missing any more. */
function dropFrom(missing, workflow) {
  const left = new Set(missingKinds(workflow, LiteGraph.registered_node_types));
  for (let i = (missing?.length ?? 0) - 1; i >= 0; i--) {
    const kind = missing[i]?.type ?? missing[i];
    if (String(kind).startsWith("Echo_") && !left.has(kind)) missing.splice(i, 1);
  }
}

/** The loader whose model a node uses, past reroutes. */
function loaderOf(node) {
  let from = node.getInputNode?.(node.findInputSlot("model"));
  for (let i = 0; from && i < 50 && from.type === "Reroute"; i++) from = from.getInputNode(0);
  return from?.comfyClass === LOADER ? from : null;
}

function valueOf(node, name) {
  return node?.widgets?.find((widget) => widget.name === name)?.value;
}

/** Names of a node's rare inputs that are folded away; the page's newer nodes fold them themselves. */
function folded(node) {
  if (LiteGraph.vueNodesMode) return [];
  const shown = Object.fromEntries((node.widgets ?? []).map((widget) => [widget.name, widget.value]));
  const linked = (node.inputs ?? []).filter((input) => input.link != null).map((input) => input.name);
  return foldedNames(rare[node.comfyClass], shown, linked, node.properties?.[UNFOLDED]);
}

/** A button at the end of a node that folds its rare inputs away and shows them again. */
function addFold(node) {
  if (LiteGraph.vueNodesMode || !Object.keys(rare[node.comfyClass] ?? {}).length) return;
  const button = node.addWidget("button", "", null, () => {
    node.properties[UNFOLDED] = !node.properties[UNFOLDED];
    hideIdle(node);
  });
  button.name = "more";
  button.serialize = false;
  button.options = { ...button.options, serialize: false };
}

function nameFold(node) {
  const button = node.widgets?.find((widget) => widget.type === "button" && widget.name === "more");
  if (!button) return;
  const chinese = String(app.ui?.settings?.getSettingValue?.("Comfy.Locale")).startsWith("zh");
  const [more, fewer] = chinese ? ["更多输入 ▾", "收起 ▴"] : ["more inputs ▾", "fewer inputs ▴"];
  button.label = node.properties?.[UNFOLDED] ? fewer : more;
}

/** Hides a node's inputs that change nothing with the model it uses, and its rare ones. */
function hideIdle(node) {
  const loader = loaderOf(node);
  const idleHere = loader ? idleNames(idle, valueOf(loader, "version"), valueOf(loader, "infer_mode")) : [];
  const names = [...idleHere, ...folded(node)];
  nameFold(node);
  let changed = false;
  for (const widget of node.widgets ?? []) {
    const hidden = names.includes(widget.name);
    if (Boolean(widget.echomimicIdle) === hidden) continue;
    widget.echomimicIdle = hidden;
    widget.hidden = hidden;
    if (widget.options) widget.options.hidden = hidden;
    takeRoom(widget, !hidden);
    changed = true;
  }
  if (changed) fit(node);
}

/** Older pages keep the room of a hidden widget: they ask its height. */
function takeRoom(widget, shown) {
  if (shown) {
    widget.computeSize = widget.echomimicSize;
    if (!widget.computeSize) delete widget.computeSize;
  } else {
    widget.echomimicSize = Object.hasOwn(widget, "computeSize") ? widget.computeSize : undefined;
    widget.computeSize = () => [0, -4];
  }
}

function fit(node) {
  const [, height] = node.computeSize();
  node.setSize([node.size[0], height]);
  node.graph?.setDirtyCanvas(true, true);
}

function samplersOf(loader) {
  return (loader.graph?.nodes ?? []).filter((node) => SAMPLERS.includes(node.comfyClass) && loaderOf(node) === loader);
}

/** A change of the loader's mode shows in its samplers: steps and cfg that nobody chose, and what is idle. */
function watchLoader(loader) {
  for (const name of ["version", "infer_mode"]) {
    const widget = loader.widgets?.find((found) => found.name === name);
    if (!widget) continue;
    const before = widget.callback;
    widget.callback = function (...given) {
      const result = before?.apply(this, given);
      for (const node of samplersOf(loader)) {
        if (name === "infer_mode") showSteps(node, widget.value);
        hideIdle(node);
      }
      return result;
    };
  }
}

function showSteps(node, mode) {
  const shown = { steps: valueOf(node, "steps"), cfg: valueOf(node, "cfg") };
  for (const [name, value] of Object.entries(followMode(mode, shown))) {
    const widget = node.widgets.find((found) => found.name === name);
    if (widget) widget.value = value;
  }
}

/** Shows a run's remarks on its node; they are no part of the workflow. */
function showNotes(node, notes) {
  let widget = node.widgets?.find((found) => found.name === NOTES);
  if (!notes.length && !widget) return;
  if (!widget) {
    widget = ComfyWidgets.STRING(node, NOTES, ["STRING", { multiline: true }], app).widget;
    const box = widget.inputEl ?? widget.element;
    if (box) box.readOnly = true;
    widget.serialize = false;
    widget.options = { ...widget.options, serialize: false };
    fit(node);
  }
  widget.value = message(notes);
}

app.registerExtension({
  name: "EchoMimic",
  async setup() {
    watchPrompts();
    const answer = await api.fetchApi("/echomimic/idle");
    if (answer.ok) idle = await answer.json();
    hideAll();
  },
  async beforeConfigureGraph(workflow, missing) {
    try {
      await openOld(workflow, missing);
    } catch (fault) {
      say("warn", `This workflow could not be brought to today's nodes: ${fault.message}`);
    }
  },
  async beforeRegisterNodeDef(nodeType, nodeData) {
    if (![LOADER, ...SAMPLERS].includes(nodeData.name)) return;
    rare[nodeData.name] = rareInputs(nodeData);
    const executed = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (output) {
      executed?.apply(this, arguments);
      showNotes(this, output?.text ?? []);
    };
    const linked = nodeType.prototype.onConnectionsChange;
    nodeType.prototype.onConnectionsChange = function () {
      const result = linked?.apply(this, arguments);
      if (SAMPLERS.includes(nodeData.name)) queueMicrotask(() => hideIdle(this));
      return result;
    };
  },
  nodeCreated(node) {
    if (node.comfyClass === LOADER) watchLoader(node);
    if (!rare[node.comfyClass]) return;
    addFold(node);
    queueMicrotask(() => hideIdle(node));
  },
  afterConfigureGraph() {
    hideAll();
  },
});

function hideAll() {
  for (const node of app.graph?.nodes ?? []) if (rare[node.comfyClass]) hideIdle(node);
}
