// From a recording to a verdict: choose, drop or record; send; show; explain on demand.

import { Recorder, decode } from "/static/sound.js";
import { View, at, element } from "/static/view.js";
import * as words from "/static/words.js";

const RETRIES = 4;
let about, view, current, running, recorder;

class Problem extends Error {
  constructor(status, reason) { super(reason); this.status = status; }
}

async function ask(path, file, signal) {
  for (let tries = 0; ; tries++) {
    let response;
    try {
      response = await fetch(path, { method: "POST", body: file, signal, headers: { "Content-Type": "application/octet-stream" } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, "the server does not answer; is it still running?");
    }
    const answer = await response.json().catch(() => ({ reason: "the server gave an answer that is none" }));
    if (response.ok) return answer;
    if (response.status !== 429 || tries === RETRIES) throw new Problem(response.status, answer.reason);
    const wait = Number(response.headers.get("Retry-After")) || 1;
    await new Promise((done) => setTimeout(done, 1000 * wait));
    signal.throwIfAborted();
  }
}

function say(text, busy = false) {
  at("status").textContent = text;
  at("status").classList.toggle("busy", busy);
}

function complain(error) {
  const [title, text] = words.problem(error.status, error.message);
  const box = element("p", undefined, element("strong", title), text);
  box.className = "problem";
  at("problem").replaceChildren(box);
}

async function score(file) {
  running?.abort();
  const { signal } = (running = new AbortController());
  at("problem").replaceChildren();
  at("result").hidden = true;
  view.player.pause();
  forget();
  try {
    if (file.size > about.max_mb * 2 ** 20) throw new Problem(413, `${file.name} has ${(file.size / 2 ** 20).toFixed(1)} MiB, at most ${about.max_mb} are taken`);
    say(`Listening to ${file.name} …`, true);
    const [result, samples] = await Promise.all([ask("/score", file, signal), decode(file, about.sample_rate)]);
    if (signal.aborted) return;
    current = { file, result };
    view.show(file, result, samples);
    say("");
    at("result").focus({ preventScroll: true });
    at("result").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth", block: "nearest" });
  } catch (error) {
    if (error.name === "AbortError") return;
    say("");
    complain(error);
  }
}

function forget() {
  current = null;
  at("explain").checked = false;
  at("method-label").hidden = at("zoom-label").hidden = at("notes").hidden = true;
  at("explain-status").textContent = "";
}

async function explain() {
  if (!at("explain").checked || !current) {
    at("method-label").hidden = at("zoom-label").hidden = at("notes").hidden = true;
    if (current) view.overlay(null);
    at("explain-status").textContent = "";
    return;
  }
  const asked = current;
  try {
    if (!asked.explanation) {
      at("explain-status").textContent = "Working it out, some seconds …";
      asked.explanation = await ask("/explain", asked.file, running.signal);
    }
  } catch (error) {
    if (error.name === "AbortError" || asked !== current) return;
    at("explain").checked = false;
    at("explain-status").textContent = `It cannot be explained: ${error.message}`;
    return;
  }
  if (asked !== current || !at("explain").checked) return;
  const { maps, notes, explained } = asked.explanation;
  at("explain-status").textContent = `of ${words.seconds(explained.start_s)} to ${words.seconds(explained.end_s)}, the part that sounds most synthetic`;
  at("method").replaceChildren(...maps.map((map, i) => Object.assign(element("option", words.method(map.name)), { value: i })));
  at("method-label").hidden = at("spectrogram").hidden;
  at("notes").hidden = !notes.length;
  at("notes").replaceChildren(...notes.map((note) => element("li", note)));
  at("zoom-label").hidden = at("method-label").hidden || current.result.duration_s <= 2.5 * about.window_s;
  lay();
}

const lay = () => view.overlay(current.explanation.maps[Number(at("method").value)] ?? null, at("zoom").checked && !at("zoom-label").hidden);

async function record() {
  const button = at("record");
  if (recorder) return recorder.stop();
  recorder = new Recorder();
  try {
    await recorder.start(Math.min(60, about.max_seconds), async () => {
      const done = recorder;
      recorder = null;
      button.textContent = "Record with the microphone";
      button.classList.remove("recording");
      try {
        await score(await done.file());
      } catch {
        complain(new Problem(400, "nothing was recorded"));
      }
    });
    button.textContent = "Stop and listen to it";
    button.classList.add("recording");
    say("Recording, a minute at most …");
  } catch (error) {
    recorder = null;
    complain(new Problem(0, error.name === "NotAllowedError" ? "the browser may not use the microphone; allow it, or choose a file" : "there is no microphone that the browser can use"));
  }
}

function drops() {
  const give = at("give");
  for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => { event.preventDefault(); give.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => give.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) score(file);
  });
}

function introduce() {
  at("limits").textContent = `WAV, FLAC, MP3, Ogg and more; up to ${about.max_mb} MiB and ${about.max_seconds / 60 >= 1 ? `${+(about.max_seconds / 60).toFixed(1)} minutes` : `${about.max_seconds} seconds`}. It goes to this server only, and is not kept.`;
  const line = about.threshold_from.startsWith("none") ? "as training left it" : `chosen by ${about.threshold_from}`;
  at("detector").textContent = `${about.run}: hears ${about.window_s} s at a time up to ${about.top_hz / 1000} kHz; the line between its verdicts was ${line}.`.replace("was as", "is as");
  at("caveats").replaceChildren(...about.caveats.map((text) => element("li", text)));
  if (!navigator.mediaDevices?.getUserMedia) {
    at("record").disabled = true;
    at("record").textContent = "Recording needs https or localhost";
  }
}

async function main() {
  try {
    about = await (await fetch("/about")).json();
  } catch {
    complain(new Problem(0, "the server does not answer; is it still running?"));
    return;
  }
  view = new View(about);
  introduce();
  at("choose").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", (event) => { if (event.target.files[0]) score(event.target.files[0]); event.target.value = ""; });
  at("record").addEventListener("click", record);
  at("explain").addEventListener("change", explain);
  at("method").addEventListener("change", lay);
  at("zoom").addEventListener("change", lay);
  drops();
  document.documentElement.dataset.ready = "yes";
}

main();
