// Live: the microphone (or a file) goes in, frames with their sound come out.
// @ts-check
import { post } from "./api.js";
import { Recorder } from "./capture.js";
import { announce, fill, guarded, h } from "./dom.js";
import { t } from "./i18n.js";

const HEAD = 20;

/** A session with the server. */
class Session {
  /** @param {string} query @param {number} rate @param {string} pace @param {CanvasRenderingContext2D} pen @param {(text: string) => void} told */
  constructor(query, rate, pace, pen, told) {
    this.sound = new AudioContext();
    this.next = 0; this.frames = 0; this.late = 0; this.pen = pen; this.told = told; this.soundRate = 24000;
    this.socket = new WebSocket(new URL(`api/live${query}`, document.baseURI).href.replace(/^http/, "ws"));
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.socket.send(JSON.stringify({ type: "start", rate, channels: 1, pace }));
    this.socket.onmessage = (event) => (typeof event.data === "string" ? this.text(JSON.parse(event.data)) : void this.frame(event.data));
    this.socket.onclose = () => told(t("Not connected"));
  }

  /** @param {any} message */
  text(message) {
    if (message.type === "ready") { this.soundRate = message.sound_rate; this.pen.canvas.width = message.width; this.pen.canvas.height = message.height; this.told(`${t("Delay")}: ${Math.round(1000 * message.delay)} ms`); }
    if (message.type === "error") this.told(message.message);
  }

  /** A frame is shown when its sound is heard. @param {ArrayBuffer} data */
  async frame(data) {
    const view = new DataView(data), length = view.getUint32(12, true), flags = view.getUint8(16);
    const sound = new Int16Array(data.slice(HEAD, HEAD + length));
    const picture = createImageBitmap(new Blob([data.slice(HEAD + length)], { type: "image/jpeg" }));
    const buffer = this.sound.createBuffer(1, sound.length, this.soundRate);
    buffer.getChannelData(0).set(Float32Array.from(sound, (value) => value / 32768));
    const source = this.sound.createBufferSource();
    source.buffer = buffer; source.connect(this.sound.destination);
    const now = this.sound.currentTime;
    if (this.next < now + 0.01) { this.late += this.frames ? 1 : 0; this.next = now + 0.06; }
    source.start(this.next);
    const wait = 1000 * (this.next - now);
    this.next += buffer.duration; this.frames += 1;
    const image = await picture;
    setTimeout(() => { this.pen.drawImage(image, 0, 0); this.pen.canvas.dataset.frames = String(this.frames); this.pen.canvas.dataset.speaking = String(flags & 1); }, Math.max(0, wait));
  }

  /** @param {Float32Array} samples */
  push(samples) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(Int16Array.from(samples, (value) => Math.max(-1, Math.min(1, value)) * 32767).buffer);
  }

  /** @param {string} type @param {Record<string, string>} [more] */
  say(type, more = {}) { if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type, ...more })); }

  /** Does something as soon as the session is ready. @param {() => void} what */
  ready(what) { if (this.socket.readyState === WebSocket.OPEN) what(); else this.socket.addEventListener("message", what, { once: true }); }

  close() { this.socket.onclose = null; this.socket.close(); void this.sound.close(); }
}

/** The same over WebRTC: the browser carries the tracks. */
class Connection {
  /** @param {string} query @param {MediaStream} stream @param {HTMLVideoElement} video @param {(text: string) => void} told */
  constructor(query, stream, video, told) {
    this.peer = new RTCPeerConnection();
    for (const track of stream.getTracks()) this.peer.addTrack(track, stream);
    this.peer.addTransceiver("video", { direction: "recvonly" });
    this.channel = this.peer.createDataChannel("control");
    this.channel.onmessage = (event) => told(JSON.parse(event.data).message);
    const coming = new MediaStream();
    video.srcObject = coming;
    this.peer.ontrack = (event) => { coming.addTrack(event.track); void video.play().catch(() => undefined); };
    this.peer.onconnectionstatechange = () => { if (["failed", "closed"].includes(this.peer.connectionState)) told(t("Not connected")); };
    this.query = query;
  }

  async open() {
    await this.peer.setLocalDescription(await this.peer.createOffer());
    if (this.peer.iceGatheringState !== "complete") await new Promise((resolve) => { this.peer.onicegatheringstatechange = () => { if (this.peer.iceGatheringState === "complete") resolve(null); }; setTimeout(resolve, 2000); });
    const { sdp, type } = /** @type {RTCSessionDescription} */ (this.peer.localDescription);
    await this.peer.setRemoteDescription(await post(`live/offer${this.query}`, { sdp, type }));
  }

  /** @param {Float32Array} _ the track carries the sound */
  push(_) { return undefined; }
  /** @param {string} type @param {Record<string, string>} [more] */
  say(type, more = {}) { if (this.channel.readyState === "open") this.channel.send(JSON.stringify({ type, ...more })); }
  /** @param {() => void} what */
  ready(what) { if (this.channel.readyState === "open") what(); else this.channel.addEventListener("open", what, { once: true }); }
  close() { this.peer.close(); }
}

/** @param {Element} place @param {string} query what follows the address of the socket @param {string} portrait address of the picture */
export function liveView(place, query, portrait) {
  const canvas = h("canvas", { width: 512, height: 512, role: "img", "aria-label": t("Live"), style: { "max-width": "100%", "max-height": "62vh" } });
  const told = h("p", { class: "hint", role: "status" });
  const video = h("video", { playsInline: true, autoplay: true, hidden: true, "aria-label": t("Live") });
  /** @type {{voice?: boolean, webrtc?: boolean}} */ let facts = {};
  /** @type {Session | Connection | null} */ let session = null;
  /** @type {Recorder | null} */ let recorder = null;
  const pen = canvas.getContext("2d");
  const first = new Image();
  first.onload = () => { screen.style.setProperty("--ratio", String(first.width / first.height)); if (!session) { canvas.width = first.width; canvas.height = first.height; pen.drawImage(first, 0, 0); } };
  first.src = portrait;
  const screen = h("div", { class: "screen" }, canvas, video);
  const show = (/** @type {boolean} */ tracks) => { canvas.hidden = tracks; video.hidden = !tracks; };
  const stop = () => { recorder?.stop(); show(false); session?.close(); recorder = session = null; buttons(); };
  const say = (/** @type {string} */ text) => { told.textContent = text; };
  const connect = async (/** @type {Recorder} */ from) => {
    if (way.value !== "webrtc") return new Session(query, from.rate, "sound", pen, say);
    const made = new Connection(query, /** @type {MediaStream} */ (from.stream), video, say);
    try { await made.open(); } catch (error) { made.close(); from.stop(); recorder = null; throw error; }
    show(true);
    return made;
  };
  const speak = async () => { recorder = new Recorder(); await recorder.start(); session = await connect(recorder); recorder.heard = (samples) => { session?.push(samples); meter.style.transform = `scaleX(${Math.min(1, 4 * Math.sqrt(samples.reduce((sum, v) => sum + v * v, 0) / samples.length))})`; }; announce(t("Recording")); buttons(); };
  const play = async (/** @type {File} */ file) => {
    const context = new AudioContext({ sampleRate: 24000 });
    const decoded = await context.decodeAudioData(await file.arrayBuffer());
    void context.close();
    session ??= new Session(query, 24000, "clock", pen, say);
    session.ready(() => { session?.push(decoded.getChannelData(0)); session?.say("end"); });
    buttons();
  };
  const area = h("textarea", { "aria-label": t("Type what is to be said"), placeholder: t("Type what is to be said") });
  const type = () => { if (!area.value.trim()) return; session ??= new Session(query, 24000, "clock", pen, say); session.ready(() => session?.say("say", { text: area.value })); buttons(); };
  const way = h("select", { "aria-label": t("Carried by") }, h("option", { value: "socket" }, "WebSocket"), h("option", { value: "webrtc" }, "WebRTC"));
  const ways = h("label", { class: "row hint" }, t("Carried by"), way);
  const typed = h("form", { class: "stack", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); type(); } }, area, h("div", {}, h("button", {}, t("Say it"))));
  const file = h("input", { type: "file", accept: "audio/*", "aria-label": t("Speech"), onchange: () => file.files[0] && void guarded(() => play(file.files[0])) });
  const row = h("div", { class: "row" });
  const meter = h("i", {});
  const buttons = () => { typed.hidden = !facts.voice || Boolean(recorder); ways.hidden = !facts.webrtc || Boolean(session); fill(row, session ? [h("button", { type: "button", class: "main", onclick: stop }, t("Stop")), h("button", { type: "button", onclick: () => session?.say("interrupt") }, t("Interrupt")), recorder ? h("span", { class: "level", role: "img", "aria-label": t("Loudness") }, meter) : null] : h("button", { type: "button", class: "main", id: "talk", onclick: () => void guarded(speak).then(buttons) }, t("Speak with the microphone")), h("label", { class: "button filebutton" }, t("Play a sound file"), file)); };
  buttons();
  void fetch("api/live/facts").then((answer) => answer.json()).then((found) => { facts = found; buttons(); }).catch(() => undefined);
  fill(place, h("div", { class: "stack", style: { "max-width": "720px", margin: "auto" } }, screen, row, ways, typed, told, h("p", { class: "hint" }, t("The portrait says what the microphone hears. Use headphones, so that it does not hear itself."))));
  return stop;
}
