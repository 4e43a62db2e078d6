// What the ear waits in: audio comes in packets over a network, and leaves in blocks on the beat of the sound card.

export class JitterBuffer {
  #samples: Float32Array;
  #read = 0;
  #length = 0;
  #flowing = false;
  /** Times that the audio ran out while it was flowing. */
  underruns = 0;
  /** Samples thrown away because more waited than may. */
  dropped = 0;

  /** Begins to play once `startSamples` wait; never keeps more than `mostSamples`: old sound is worth less than new. */
  constructor(
    readonly startSamples: number,
    readonly mostSamples: number,
  ) {
    this.#samples = new Float32Array(mostSamples);
  }

  get waiting(): number {
    return this.#length;
  }

  push(pcm: Int16Array): void {
    const fresh = pcm.length > this.mostSamples ? pcm.subarray(pcm.length - this.mostSamples) : pcm;
    const over = this.#length + fresh.length - this.mostSamples;
    if (over > 0) {
      this.#read = (this.#read + over) % this.mostSamples;
      this.#length -= over;
      this.dropped += over;
    }
    let at = (this.#read + this.#length) % this.mostSamples;
    for (const sample of fresh) {
      this.#samples[at] = sample / 32768;
      at = at + 1 === this.mostSamples ? 0 : at + 1;
    }
    this.#length += fresh.length;
  }

  /** Fill one block; silence where there is nothing to play. */
  pull(block: Float32Array): void {
    if (!this.#flowing && this.#length >= this.startSamples) this.#flowing = true;
    if (!this.#flowing) {
      block.fill(0);
      return;
    }
    const ready = Math.min(block.length, this.#length);
    for (let at = 0; at < ready; at++) {
      block[at] = this.#samples[this.#read] ?? 0;
      this.#read = this.#read + 1 === this.mostSamples ? 0 : this.#read + 1;
    }
    this.#length -= ready;
    if (ready < block.length) {
      block.fill(0, ready);
      this.#flowing = false;
      this.underruns += 1;
    }
  }
}

/** Gathers blocks of the sound card into packets of one length, as 16-bit integers. */
export class Packer {
  #packet: Int16Array;
  #filled = 0;

  constructor(readonly packetSamples: number) {
    this.#packet = new Int16Array(packetSamples);
  }

  push(block: Float32Array): Int16Array[] {
    const packets: Int16Array[] = [];
    for (const sample of block) {
      this.#packet[this.#filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
      if (this.#filled === this.packetSamples) {
        packets.push(this.#packet);
        this.#packet = new Int16Array(this.packetSamples);
        this.#filled = 0;
      }
    }
    return packets;
  }
}
