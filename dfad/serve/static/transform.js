// Power spectra of a sound, enough to paint them. Pure functions, nothing of the page.

export const SIZE = 512; // samples of a frame

// The real and imaginary part of a signal's Fourier transform take the signal's place; its length is a power of two.
function fourier(real, imaginary) {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j], imaginary[i], imaginary[j]] = [real[j], real[i], imaginary[j], imaginary[i]];
  }
  for (let length = 2; length <= n; length *= 2) {
    const half = length / 2;
    for (let k = 0; k < half; k++) {
      const cos = Math.cos((2 * Math.PI * k) / length), sin = -Math.sin((2 * Math.PI * k) / length);
      for (let i = k; i < n; i += length) {
        const j = i + half;
        const re = real[j] * cos - imaginary[j] * sin, im = real[j] * sin + imaginary[j] * cos;
        real[j] = real[i] - re; imaginary[j] = imaginary[i] - im;
        real[i] += re; imaginary[i] += im;
      }
    }
  }
}

export const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
export const hertz = (mel) => 700 * (10 ** (mel / 2595) - 1);

// Levels in dB re the loudest, a row for each step on the mel scale from 0 to `top`, low first: rows[row][column].
export function spectrogram(samples, rate, columns, rows, top) {
  const window = Float32Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));
  const edges = Array.from({ length: rows + 1 }, (_, row) => (hertz((mel(top) * row) / rows) * SIZE) / rate);
  const power = Array.from({ length: rows }, () => new Float32Array(columns));
  const real = new Float32Array(SIZE), imaginary = new Float32Array(SIZE);
  let most = 1e-12;
  for (let column = 0; column < columns; column++) {
    const start = Math.round(((column + 0.5) / columns) * samples.length - SIZE / 2);
    for (let i = 0; i < SIZE; i++) real[i] = (samples[start + i] ?? 0) * window[i];
    imaginary.fill(0);
    fourier(real, imaginary);
    for (let row = 0; row < rows; row++) {
      const first = Math.min(SIZE / 2, Math.floor(edges[row] + 0.5)), last = Math.min(SIZE / 2, Math.max(first, Math.ceil(edges[row + 1] - 0.5)));
      let value = 0;
      for (let bin = first; bin <= last; bin++) value = Math.max(value, real[bin] ** 2 + imaginary[bin] ** 2);
      power[row][column] = value;
      most = Math.max(most, value);
    }
  }
  for (const row of power) for (let i = 0; i < columns; i++) row[i] = 10 * Math.log10(Math.max(row[i], most * 1e-10) / most);
  return power;
}

// The lowest and the highest sample of each of so many parts.
export function envelope(samples, columns) {
  return Array.from({ length: columns }, (_, column) => {
    const first = Math.floor((column / columns) * samples.length), last = Math.max(first + 1, Math.floor(((column + 1) / columns) * samples.length));
    let low = 0, high = 0;
    for (let i = first; i < last; i++) { low = Math.min(low, samples[i]); high = Math.max(high, samples[i]); }
    return [low, high];
  });
}
