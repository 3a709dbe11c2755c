// Passes the microphone's samples on, in blocks of 2048.
class RecorderProcessor extends AudioWorkletProcessor {
  constructor() { super(); this.block = new Float32Array(2048); this.used = 0; }
  process(inputs) {
    for (const value of inputs[0][0] ?? []) {
      this.block[this.used++] = value;
      if (this.used === this.block.length) { this.port.postMessage(this.block.slice()); this.used = 0; }
    }
    return true;
  }
}
registerProcessor("recorder", RecorderProcessor);
