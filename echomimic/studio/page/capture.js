// Microphone and camera of the browser.
// @ts-check
import { t } from "./i18n.js";

/** Sound as 16-bit WAV: no container without a length, which the browsers' recorders write. */
export class Recorder {
  constructor() { this.parts = /** @type {Float32Array[]} */ ([]); this.rate = 48000; }

  async start() {
    if (!navigator.mediaDevices) throw new Error(t("The microphone needs https or this computer's own address (localhost)."));
    try { this.stream = await navigator.mediaDevices.getUserMedia({ audio: true }); } catch { throw new Error(t("The browser gave no microphone.")); }
    this.context = new AudioContext();
    this.rate = this.context.sampleRate;
    await this.context.audioWorklet.addModule("recorder.js");
    this.node = new AudioWorkletNode(this.context, "recorder");
    this.node.port.onmessage = (event) => { this.parts.push(event.data); this.heard?.(event.data, this.rate); };
    this.context.createMediaStreamSource(this.stream).connect(this.node);
  }

  /** @type {((samples: Float32Array, rate: number) => void) | undefined} */ heard;

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    void this.context?.close();
    return wav(this.parts, this.rate);
  }
}

/** @param {Float32Array[]} parts @param {number} rate */
function wav(parts, rate) {
  const count = parts.reduce((sum, part) => sum + part.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (/** @type {number} */ at, /** @type {string} */ word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); text(8, "WAVEfmt "); view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true); text(36, "data"); view.setUint32(40, 2 * count, true);
  let at = 44;
  for (const part of parts) for (const value of part) { view.setInt16(at, Math.max(-1, Math.min(1, value)) * 32767, true); at += 2; }
  return new Blob([view.buffer], { type: "audio/wav" });
}

/** @param {HTMLVideoElement} video */
export async function openCamera(video) {
  if (!navigator.mediaDevices) throw new Error(t("The microphone needs https or this computer's own address (localhost)."));
  try { video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 1280 } } }); } catch { throw new Error(t("The browser gave no camera.")); }
  await video.play();
}

/** @param {HTMLVideoElement} video */
export function closeCamera(video) { /** @type {MediaStream | null} */ (video.srcObject)?.getTracks().forEach((track) => track.stop()); video.srcObject = null; }

/** @param {HTMLVideoElement} video @returns {Promise<Blob>} */
export function shoot(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("empty"))), "image/png"));
}
