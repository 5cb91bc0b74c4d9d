// The part of the page that shows a result.

import * as draw from "/static/draw.js";
import * as words from "/static/words.js";

export const at = (id) => document.getElementById(id);

export function element(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

// Shows one sound and its result; knows where it is being listened to.
export class View {
  constructor(about) {
    this.about = about;
    this.player = at("player");
    this.seek = at("seek");
    at("plots").addEventListener("click", (event) => this.go(this.timeAt(event.clientX)));
    this.seek.addEventListener("input", () => this.go(Number(this.seek.value)));
    for (const name of ["timeupdate", "seeked", "play", "pause"]) this.player.addEventListener(name, () => this.move());
    this.player.addEventListener("play", () => this.follow());
    new ResizeObserver(() => this.draw()).observe(at("plots"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(file, result, samples) {
    this.result = result; this.samples = samples; this.map = null; this.range = [0, result.duration_s];
    const fill = (id, text) => (at(id).textContent = text);
    fill("name", `${file.name}, ${words.seconds(result.duration_s)}`);
    fill("verdict", words.verdict(result));
    fill("chance", words.chance(result));
    fill("meaning", words.meaning(result));
    at("card").className = `card ${result.verdict}`;
    const line = words.chanceAt(result.threshold, result.prior);
    for (const part of document.querySelectorAll(".scale, .ends")) part.hidden = result.p_spoof === null;
    at("mark").style.left = `${100 * (result.p_spoof ?? 0)}%`;
    at("line").style.left = `${100 * line}%`;
    fill("line-words", `line at ${words.percent(line)}`);
    at("line-words").style.left = `${Math.max(25, Math.min(70, 100 * line))}%`;
    const warnings = [...(this.about.demo ? [this.about.caveats[0]] : []), ...result.warnings.map(words.warning)];
    at("warnings").hidden = !warnings.length;
    at("warnings").querySelector("ul").replaceChildren(...warnings.map((text) => element("li", text)));
    at("parts").replaceChildren(...result.windows.map((one) => this.row(one)));
    at("numbers").replaceChildren(...words.numbers(result).flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
    at("deaf").hidden = samples !== null;
    for (const id of ["wave", "spectrogram"]) at(id).hidden = samples === null;
    this.links(file, result);
    this.seek.max = result.duration_s;
    this.seek.value = 0;
    at("result").hidden = false;
    this.draw();
    this.move();
  }

  row(one) {
    const cells = [words.seconds(one.start_s), words.seconds(one.end_s), one.p_spoof === null ? "–" : words.percent(one.p_spoof), one.score.toFixed(3)];
    return element("tr", undefined, ...cells.map((text) => element("td", text)));
  }

  links(file, result) {
    for (const url of this.urls ?? []) URL.revokeObjectURL(url);
    const json = new Blob([JSON.stringify(result, null, 1)], { type: "application/json" });
    this.urls = [URL.createObjectURL(file), URL.createObjectURL(json)];
    this.player.hidden = this.samples === null;
    if (this.samples === null) this.player.removeAttribute("src");
    else this.player.src = this.urls[0];
    at("download").href = this.urls[1];
    at("download").download = `${file.name.replace(/\.[^.]*$/, "")}.score.json`;
  }

  // Lays a map over the spectrogram, or none; shows its surroundings alone if zoomed in.
  overlay(map, zoom) {
    const whole = [0, this.result.duration_s], margin = this.about.window_s / 2;
    this.map = map;
    this.range = map && zoom ? [Math.max(0, map.seconds[0] - margin), Math.min(whole[1], map.seconds.at(-1) + margin)] : whole;
    this.draw();
  }

  draw() {
    const { result, samples } = this;
    if (!result || at("result").hidden) return;
    const length = words.seconds(result.duration_s);
    if (samples) {
      draw.wave(at("wave"), samples, this.range, result.duration_s);
      at("wave").setAttribute("aria-label", `Waveform of ${length}`);
      draw.sound(at("spectrogram"), samples, this.about.sample_rate, this.about.top_hz, this.map, this.range, result.duration_s);
      const over = this.map ? `, and over it by ${words.method(this.map.name)} what speaks for spoof and for bona fide from ${words.seconds(this.map.seconds[0])} to ${words.seconds(this.map.seconds.at(-1))}` : "";
      at("spectrogram").setAttribute("aria-label", `Spectrogram up to ${this.about.top_hz / 1000} kHz over ${length}${over}`);
    }
    draw.scores(at("scores"), result, this.range);
    at("scores").setAttribute("aria-label", `Score over time: ${result.windows.length} parts; the table below has them all`);
    const spoken = result.p_spoof === null ? "Below: the score" : "Below: the chance of being synthetic";
    const colours = this.map ? " Over the spectrogram, in the frame that was explained: orange speaks for synthetic, blue for real." : "";
    at("legend").textContent = `${spoken} of every part of ${this.about.window_s} s that was heard; orange lies on the synthetic side of the dashed line, blue on the real side. Click a picture to listen from there.${colours}`;
    this.move();
  }

  go(time) {
    if (!this.result) return;
    const to = Math.max(0, Math.min(time, this.result.duration_s));
    if (this.samples) this.player.currentTime = to;
    this.seek.value = to;
    this.move(to);
  }

  timeAt(clientX) {
    const box = at("plots").getBoundingClientRect();
    const [from, to] = this.range;
    return from + ((clientX - box.left - draw.LEFT) / (box.width - draw.LEFT - draw.RIGHT)) * (to - from);
  }

  move(to) {
    if (!this.result) return;
    const time = to ?? (this.samples ? this.player.currentTime : Number(this.seek.value));
    const width = at("plots").clientWidth - draw.LEFT - draw.RIGHT;
    const [first, last] = this.range;
    at("cursor").hidden = time < first || time > last;
    at("cursor").style.left = `${draw.LEFT + ((time - first) / (last - first)) * width}px`;
    if (document.activeElement !== this.seek || !this.player.paused) this.seek.value = time;
    const here = this.result.windows.filter((one) => one.start_s <= time && time <= one.end_s && one.p_spoof !== null);
    const most = here.length ? `, chance of being synthetic here ${words.percent(Math.max(...here.map((one) => one.p_spoof)))}` : "";
    this.seek.setAttribute("aria-valuetext", `${words.seconds(time)} of ${words.seconds(this.result.duration_s)}${most}`);
  }

  follow() {
    this.move();
    if (!this.player.paused) requestAnimationFrame(() => this.follow());
  }
}
