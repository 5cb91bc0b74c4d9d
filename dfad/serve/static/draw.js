// Pictures of a sound and of what is said of it, all on one axis of time.

import { envelope, mel, spectrogram } from "/static/transform.js";
import { chanceAt } from "/static/words.js";

export const LEFT = 52, RIGHT = 8; // pixels beside the pictures
const BELOW = 22, ROWS = 128, RANGE_DB = 75;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const rgb = (hex) => [1, 3, 5].map((at) => parseInt((hex.length === 4 ? [...hex].map((c, i) => (i ? c + c : c)).join("") : hex).slice(at, at + 2), 16));

// A canvas at the resolution of the screen: its context, and its size in CSS pixels.
function fresh(canvas) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = Number(canvas.getAttribute("data-height") ?? canvas.getAttribute("height"));
  canvas.setAttribute("data-height", height);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = colour("plot");
  context.fillRect(LEFT, 0, width - LEFT - RIGHT, height);
  return { context, width: width - LEFT - RIGHT, height };
}

// From seconds to pixels; what lies outside the range goes to its ends.
const scale = ([from, to], width) => (time) => LEFT + ((Math.max(from, Math.min(to, time)) - from) / (to - from)) * width;

function label(context, text, y) {
  context.fillStyle = colour("muted");
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillText(text, LEFT - 6, y);
}

const part = (samples, [from, to], duration) => samples.subarray(Math.round((from / duration) * samples.length), Math.round((to / duration) * samples.length));

export function wave(canvas, all, range, duration) {
  const { context, width, height } = fresh(canvas), samples = part(all, range, duration);
  const columns = Math.max(1, Math.floor(width)), middle = height / 2;
  const parts = envelope(samples, columns), most = Math.max(1e-3, ...parts.map(([low, high]) => Math.max(-low, high)));
  context.fillStyle = colour("sound");
  parts.forEach(([low, high], x) => context.fillRect(LEFT + x, middle - (high / most) * (middle - 2), 1, Math.max(1, ((high - low) / most) * (middle - 2))));
  label(context, "wave", middle);
}

// The picture that `sound` paints is made once for a width and a range: explanations come and go above it.
const painted = { all: null };
export function sound(canvas, all, rate, top, map, range, duration) {
  const { context, width, height } = fresh(canvas);
  const columns = Math.max(1, Math.min(1200, Math.floor(width))), dark = rgb(colour("plot"))[0] < 128;
  if (painted.all !== all || painted.columns !== columns || painted.dark !== dark || painted.range !== String(range)) {
    const levels = spectrogram(part(all, range, duration), rate, columns, ROWS, top);
    Object.assign(painted, { all, columns, dark, range: String(range), image: paint(levels, columns, dark) });
  }
  context.imageSmoothingEnabled = true;
  context.drawImage(painted.image, LEFT, 0, width, height);
  const y = (hertz) => height * (1 - mel(Math.min(hertz, top)) / mel(top));
  if (map) overlay(context, map, scale(range, width), y);
  for (const hertz of [250, 1000, 2000, 4000, 8000].filter((one) => one < top * 0.98)) label(context, hertz < 1000 ? `${hertz} Hz` : `${hertz / 1000} kHz`, Math.max(8, y(hertz)));
}

function paint(levels, columns, dark) {
  const canvas = document.createElement("canvas");
  canvas.width = columns; canvas.height = ROWS;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, ROWS);
  const [low, high] = dark ? [16, 225] : [255, 25];
  levels.forEach((row, at) => row.forEach((level, column) => {
    const share = Math.max(0, 1 + level / RANGE_DB), value = low + (high - low) * share ** 1.4;
    image.data.set([value, value, value, 255], 4 * ((ROWS - 1 - at) * columns + column));
  }));
  context.putImageData(image, 0, 0);
  return canvas;
}

// Orange where a part speaks for spoof, blue where for bona fide, stronger for more.
function overlay(context, map, x, y) {
  const most = Math.max(1e-12, ...map.values.flat().map(Math.abs));
  const fake = rgb(colour("fake")), real = rgb(colour("real"));
  map.values.forEach((row, band) => row.forEach((value, frame) => {
    const share = Math.abs(value) / most, left = x(map.seconds[frame]), upper = y(map.hertz[band + 1]);
    if (share < 0.03) return;
    context.fillStyle = `rgba(${(value > 0 ? fake : real).join(",")},${0.75 * share ** 0.7})`;
    context.fillRect(left, upper, x(map.seconds[frame + 1]) - left, y(map.hertz[band]) - upper);
  }));
  context.strokeStyle = colour("ink");
  context.setLineDash([4, 3]);
  const left = x(map.seconds[0]);
  context.strokeRect(left, 0.5, x(map.seconds.at(-1)) - left, y(0) - 1);
  context.setLineDash([]);
}

export function scores(canvas, result, range) {
  const { context, width, height } = fresh(canvas), bottom = height - BELOW, chances = result.p_spoof !== null;
  context.clearRect(0, bottom, width + LEFT + RIGHT, BELOW);
  const values = result.windows.map((one) => (chances ? one.p_spoof : -one.score));
  const line = chances ? chanceAt(result.threshold, result.prior) : -result.threshold;
  const [low, high] = chances ? [0, 1] : [Math.min(line, ...values) - 0.1, Math.max(line, ...values) + 0.1];
  const x = scale(range, width), y = (value) => 4 + (bottom - 8) * (1 - (value - low) / (high - low || 1));
  result.windows.forEach((one, i) => {
    if (one.end_s <= range[0] || one.start_s >= range[1]) return;
    const fake = one.score < result.threshold;
    context.fillStyle = colour(fake ? "fake" : "real");
    context.globalAlpha = 0.25;
    context.fillRect(x(one.start_s), Math.min(y(values[i]), y(line)), x(one.end_s) - x(one.start_s), Math.abs(y(values[i]) - y(line)));
    context.globalAlpha = 1;
    context.fillRect(x(one.start_s), y(values[i]) - 1.5, x(one.end_s) - x(one.start_s), 3);
  });
  context.strokeStyle = colour("ink");
  context.setLineDash([5, 4]);
  context.beginPath(); context.moveTo(LEFT, y(line)); context.lineTo(LEFT + width, y(line)); context.stroke();
  context.setLineDash([]);
  if (chances) for (const p of [0, 0.5, 1]) label(context, `${100 * p} %`, Math.max(8, Math.min(bottom - 7, y(p))));
  axis(context, range, width, bottom);
}

function axis(context, [from, to], width, bottom) {
  const duration = to - from;
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300].find((one) => (one / duration) * width > 55) ?? 600;
  context.fillStyle = context.strokeStyle = colour("muted");
  context.textBaseline = "top";
  for (let i = Math.ceil(from / step - 1e-6); i * step <= to; i++) {
    const x = scale([from, to], width)(i * step), end = x > LEFT + width - 20;
    context.textAlign = x < LEFT + 12 ? "left" : end ? "right" : "center";
    context.fillRect(Math.round(x), bottom, 1, 4);
    context.fillText(to < 60 ? `${+(i * step).toFixed(1)} s` : clock(i * step), x, bottom + 6);
  }
}

const clock = (time) => `${Math.floor(time / 60)}:${String(Math.round(time % 60)).padStart(2, "0")}`;
