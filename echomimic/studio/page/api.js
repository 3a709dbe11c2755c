// The studio's HTTP API; see docs/studio-api.md. Addresses are relative, so a root path does not matter.
// @ts-check

export class Refusal extends Error {
  /** @param {{status: number, kind: string, message: string, remedy?: any, action?: any}} error */
  constructor(error) {
    super(error.message);
    this.kind = error.kind;
    this.remedy = error.remedy;
    this.action = error.action;
  }
}

/** @param {string} path @param {RequestInit & {json?: unknown}} [options] */
async function send(path, options = {}) {
  const { json, ...rest } = options;
  if (json !== undefined) {
    rest.body = JSON.stringify(json);
    rest.headers = { ...rest.headers, "Content-Type": "application/json" };
  }
  let answer;
  try {
    answer = await fetch(`api/${path}`, { credentials: "same-origin", ...rest });
  } catch {
    throw new Refusal({ status: 0, kind: "offline", message: "The server does not answer. Is `echomimic studio` still running?" });
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => null);
  throw new Refusal(told?.error ?? { status: answer.status, kind: "internal", message: `The server answered ${answer.status}.` });
}

/** @param {string} path @returns {Promise<any>} */
export const get = async (path) => (await send(path)).json();
/** @param {string} path @param {unknown} json @param {Record<string, string>} [headers] @returns {Promise<any>} */
export const post = async (path, json, headers) => {
  const answer = await send(path, { method: "POST", json, headers });
  return answer.status === 204 ? null : answer.json();
};
/** @param {string} path @param {unknown} json @returns {Promise<any>} */
export const put = async (path, json) => (await send(path, { method: "PUT", json })).json();
/** @param {string} path @param {unknown} json @returns {Promise<any>} */
export const patch = async (path, json) => (await send(path, { method: "PATCH", json })).json();
/** @param {string} path */
export const remove = async (path) => { await send(path, { method: "DELETE" }); };

/** A picture that has to be asked for with a body. @param {unknown} json @returns {Promise<Blob>} */
export const still = async (json) => (await send("still", { method: "POST", json })).blob();

/**
 * Uploads a file, telling how far it is (0…1).
 * @param {Blob} file @param {string} kind @param {string} name @param {(part: number) => void} told @returns {Promise<any>}
 */
export function upload(file, kind, name, told) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `api/assets?kind=${kind}&name=${encodeURIComponent(name)}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && told(event.loaded / event.total);
    request.onerror = () => reject(new Refusal({ status: 0, kind: "offline", message: "The upload broke off; try again." }));
    request.onload = () => (request.status < 300 ? resolve(request.response) : reject(
      new Refusal(request.response?.error ?? { status: request.status, kind: "internal", message: `The server answered ${request.status}.` })));
    request.send(file);
  });
}

/**
 * Follows what changes; opens again by itself when the server was away.
 * @param {(kind: string, value: any) => void} heard @param {(open: boolean) => void} connected @param {() => void} locked the token is another one now
 */
export function follow(heard, connected, locked) {
  const source = new EventSource("api/events");
  for (const kind of ["hello", "job", "take", "asset", "gone", "status", "queue", "reset"]) {
    source.addEventListener(kind, (event) => heard(kind, JSON.parse(/** @type {MessageEvent} */ (event).data)));
  }
  source.onopen = () => connected(true);
  source.onerror = () => {
    connected(false);
    if (source.readyState !== EventSource.CLOSED) return;
    send("sizes").then(() => "", (error) => error.kind).then((kind) => { if (kind === "unauthorized") locked(); else setTimeout(() => follow(heard, connected, locked), 2000); });
  };
}
