// Sound in the browser: decoded to be drawn, recorded with the microphone, and written as a WAV file that any server reads.

// Mono samples at a rate; null if this browser cannot decode the file, which the server may all the same.
export async function decode(file, rate) {
  try {
    const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(await file.arrayBuffer());
    return mono(decoded);
  } catch {
    return null;
  }
}

function mono(decoded) {
  const samples = decoded.getChannelData(0).slice();
  for (let channel = 1; channel < decoded.numberOfChannels; channel++) {
    const other = decoded.getChannelData(channel);
    for (let i = 0; i < samples.length; i++) samples[i] += other[i];
  }
  for (let i = 0; i < samples.length; i++) samples[i] /= decoded.numberOfChannels;
  return samples;
}

// Records until `stop` is called, or for so many seconds; gives a WAV file.
export class Recorder {
  async start(seconds, ended) {
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }; // they would be heard
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    this.recorder = new MediaRecorder(this.stream);
    this.parts = [];
    this.recorder.ondataavailable = (event) => this.parts.push(event.data);
    this.recorder.onstop = () => ended();
    this.recorder.start();
    this.timer = setTimeout(() => this.stop(), 1000 * seconds);
  }

  stop() {
    clearTimeout(this.timer);
    if (this.recorder?.state === "recording") this.recorder.stop();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
  }

  async file() {
    const context = new AudioContext();
    try {
      const decoded = await context.decodeAudioData(await new Blob(this.parts).arrayBuffer());
      return new File([wav(mono(decoded), decoded.sampleRate)], "recording.wav", { type: "audio/wav" });
    } finally {
      context.close();
    }
  }
}

// A WAV file of 16 bits.
function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => view.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true));
  return view.buffer;
}
