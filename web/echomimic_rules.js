// What the page's extension decides, without the page: tested by itself.

export const SAMPLERS = ["Echo_Sampler", "Echo_PreviewMotion"];
export const LOADER = "Echo_LoadModel";

/** Every node of a saved workflow, those in subgraphs too. */
export function nodesOf(workflow) {
  const inner = workflow?.definitions?.subgraphs ?? [];
  return [workflow, ...inner].flatMap((graph) => graph?.nodes ?? []);
}

/** Whether a saved workflow has nodes of ours, or of the classic pack. */
export function concernsUs(workflow) {
  return nodesOf(workflow).some((node) => String(node?.type).startsWith("Echo_"));
}

/** Whether a prompt (the API format) has nodes of ours, or of the classic pack. */
export function promptConcernsUs(prompt) {
  return Object.values(prompt ?? {}).some((held) => String(held?.class_type).startsWith("Echo_"));
}

/** Kinds of node that a saved workflow uses and the page does not know; subgraphs are known. */
export function missingKinds(workflow, registered) {
  const subgraphs = new Set((workflow?.definitions?.subgraphs ?? []).map((graph) => graph.id));
  const kinds = nodesOf(workflow).map((node) => node?.type);
  return [...new Set(kinds)].filter((kind) => kind && !(kind in registered) && !subgraphs.has(kind));
}

/** Puts what the server made of a workflow into the object that the page is about to open. */
export function replaceIn(workflow, made) {
  for (const key of Object.keys(workflow)) if (!(key in made)) delete workflow[key];
  Object.assign(workflow, made);
}

/** One message from the remarks about a workflow. */
export function message(notes) {
  return notes.map((note) => `• ${note}`).join("\n");
}

/** Names of the inputs without effect behind a loader; none when its model is not known yet. */
export function idleNames(table, version, mode) {
  return table?.[version]?.[mode] ?? [];
}

/** First values of a node's rare inputs, by name, from what the server says of the node. */
export function rareInputs(nodeData) {
  const all = { ...nodeData?.input?.required, ...nodeData?.input?.optional };
  const rare = Object.entries(all).filter(([, spec]) => spec?.[1]?.advanced);
  return Object.fromEntries(rare.map(([name, spec]) => [name, spec[1].default]));
}

/** Names of the rare inputs to fold away: those that nobody set or linked, unless the node is unfolded. */
export function foldedNames(rare, shown, linked, unfolded) {
  if (unfolded) return [];
  return Object.keys(rare ?? {}).filter((name) => shown[name] === rare[name] && !linked.includes(name));
}

/** Steps and cfg to show after a change of mode: only first values are moved, never chosen ones. */
export function followMode(mode, shown) {
  const [from, to] = String(mode).endsWith("acc") ? [USUAL, QUICK] : [QUICK, USUAL];
  const names = Object.keys(from).filter((name) => shown[name] === from[name]);
  return Object.fromEntries(names.map((name) => [name, to[name]]));
}

const USUAL = { steps: 30, cfg: 2.5 };
const QUICK = { steps: 6, cfg: 1 };
