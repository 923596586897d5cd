// The fast Fourier transform (Cooley and Tukey 1965), radix 2, in place.

export class Fft {
  /** @param {number} size a power of two */
  constructor(size) {
    this.size = size;
    this.real = new Float32Array(size);
    this.imaginary = new Float32Array(size);
    this.cos = Float32Array.from({ length: size / 2 }, (_, i) =>
      Math.cos((2 * Math.PI * i) / size),
    );
    this.sin = Float32Array.from({ length: size / 2 }, (_, i) =>
      Math.sin((2 * Math.PI * i) / size),
    );
    // Hann's window: without it the edges of a piece smear over all frequencies
    this.window = Float32Array.from(
      { length: size },
      (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / size),
    );
    const bits = Math.log2(size);
    this.reversed = Uint32Array.from({ length: size }, (_, i) => {
      let turned = 0;
      for (let bit = 0; bit < bits; bit++) turned |= ((i >> bit) & 1) << (bits - 1 - bit);
      return turned;
    });
  }

  /**
   * Adds the power spectrum of the piece of `samples` that begins at `begin` to `power`
   * [size / 2 + 1]; what lies outside the samples counts as silence. A sine of amplitude 1 has
   * power 1 in its bin.
   */
  addPower(samples, begin, power) {
    const { size, real, imaginary, reversed, window } = this;
    for (let i = 0; i < size; i++) real[reversed[i]] = (samples[begin + i] || 0) * window[i];
    imaginary.fill(0);
    for (let half = 1; half < size; half *= 2) this.#butterflies(half);
    const scale = (4 / size) ** 2; // 2 for the half that is left out, 2 for the window
    for (let bin = 0; bin <= size / 2; bin++) {
      power[bin] += scale * (real[bin] ** 2 + imaginary[bin] ** 2);
    }
  }

  #butterflies(half) {
    const { size, real, imaginary, cos, sin } = this;
    const stride = size / (2 * half);
    for (let start = 0; start < size; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const c = cos[k * stride];
        const s = sin[k * stride];
        const a = start + k;
        const b = a + half;
        const re = c * real[b] + s * imaginary[b];
        const im = c * imaginary[b] - s * real[b];
        real[b] = real[a] - re;
        imaginary[b] = imaginary[a] - im;
        real[a] += re;
        imaginary[a] += im;
      }
    }
  }
}
