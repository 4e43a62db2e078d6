// Runs on the audio thread: the microphone's blocks out as packets, the bot's packets in as blocks.

import { JitterBuffer, Packer } from "./buffer";

declare const sampleRate: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;

const PACKET_S = 0.02;
const START_S = 0.06;
const MOST_S = 0.4;
const REPORT_BLOCKS = 40;

class Microphone extends AudioWorkletProcessor {
  #packer = new Packer(Math.round(sampleRate * PACKET_S));

  process(inputs: Float32Array[][]): boolean {
    const channels = inputs[0];
    const first = channels?.[0];
    if (first) {
      for (const packet of this.#packer.push(first)) this.port.postMessage(packet.buffer, [packet.buffer]);
    }
    return true;
  }
}

class Speaker extends AudioWorkletProcessor {
  #buffer = new JitterBuffer(Math.round(sampleRate * START_S), Math.round(sampleRate * MOST_S));
  #blocks = 0;

  constructor() {
    super();
    this.port.onmessage = (event: MessageEvent<ArrayBuffer>) => this.#buffer.push(new Int16Array(event.data));
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const block = outputs[0]?.[0];
    if (block) this.#buffer.pull(block);
    if (++this.#blocks % REPORT_BLOCKS === 0) {
      this.port.postMessage({
        waitingMs: (1000 * this.#buffer.waiting) / sampleRate,
        underruns: this.#buffer.underruns,
      });
    }
    return true;
  }
}

registerProcessor("callpath-microphone", Microphone as unknown as new () => AudioWorkletProcessor);
registerProcessor("callpath-speaker", Speaker as unknown as new () => AudioWorkletProcessor);
