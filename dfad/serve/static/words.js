// What numbers mean, in plain words. Pure functions, nothing of the page.

export function percent(p) {
  if (p < 0.01) return "less than 1 %";
  if (p > 0.99) return "more than 99 %";
  return `${Math.round(100 * p)} %`;
}

export const logit = (p) => Math.log(p / (1 - p));
export const chanceAt = (score, prior) => 1 / (1 + Math.exp(score - logit(prior))); // of spoof, of log-odds of bona fide

export function seconds(value) {
  if (value < 60) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return `${Math.floor(value / 60)}:${String(Math.floor(value % 60)).padStart(2, "0")}`;
}

export function verdict(result) {
  const near = Math.abs(result.score - result.threshold) < 1;
  const kind = result.verdict === "spoof" ? "synthetic" : "real";
  if (near) return `Undecided, leaning to ${kind}`;
  return `Sounds ${kind}${others(result) > 0.1 ? ", but not all of it" : ""}`;
}

// The share of the parts on the other side of the line than the whole.
function others(result) {
  const away = result.windows.filter((one) => (one.score < result.threshold ? "spoof" : "bona-fide") !== result.verdict);
  return away.length / result.windows.length;
}

export function chance(result) {
  if (result.p_spoof === null) return "This detector gives no probability, only a verdict.";
  const beforehand = result.prior === 0.5 ? "if half of all recordings like it are" : `if ${percent(result.prior)} of all recordings like it are`;
  return `The chance that it is synthetic: ${percent(result.p_spoof)}, ${beforehand}.`;
}

export function meaning(result) {
  const away = result.score - result.threshold, parts = [];
  if (Math.abs(away) < 1) parts.push("The score lies so near the line between the two verdicts that either may be right.");
  if (result.windows.length > 1) {
    const spoofed = result.windows.filter((one) => one.score < result.threshold).length;
    if (spoofed === 0 || spoofed === result.windows.length) parts.push(`All ${result.windows.length} parts that it heard say the same.`);
    else parts.push(`${spoofed} of the ${result.windows.length} parts that it heard sound synthetic, the others real: look where.`);
  }
  if (result.prior === 0.5 && result.p_spoof !== null) {
    const rare = chanceAt(logit(1 - result.p_spoof), 0.01);
    if (result.verdict === "spoof" && rare < 0.9) parts.push(`Where only 1 in 100 recordings is synthetic, the same score would mean a chance of ${percent(rare)}.`);
  }
  if (!result.calibrated) parts.push("The score is not calibrated: take the chance for an order of size, not for a probability.");
  return parts.join(" ");
}

const WARNINGS = {
  short: "It is shorter than what the detector hears at a time",
  clipped: "It is overdriven",
  silent: "There is hardly any sound in it",
  quiet: "It is very quiet",
  "band-limited": "High frequencies are missing, as on a telephone",
  "unlike training": "It sounds unlike everything that the detector was trained on",
};

export function warning(text) {
  const [name, ...rest] = text.split(": ");
  return WARNINGS[name] ? `${WARNINGS[name]} (${rest.join(": ")}).` : text;
}

export function numbers(result) {
  return [
    ["Score", `${result.score.toFixed(3)}: ${result.calibrated ? "a log-likelihood ratio" : result.unit}, higher is more likely real; ${result.aggregation} of ${result.windows.length} parts`],
    ["Threshold", `${result.threshold.toFixed(3)}, from: ${result.threshold_from}. A score below it is called synthetic`],
    ["P(spoof)", result.p_spoof === null ? "none: these scores tell no probability" : `${result.p_spoof.toPrecision(4)} at a prior of ${result.prior}: the share of synthetic recordings that is expected beforehand. Elsewhere than there it is another`],
    ["Calibrated", result.calibrated ? "yes, on validation clips of the corpus that it was trained on" : "no"],
    ["Length", seconds(result.duration_s)],
    ["Scored by", result.scored_by],
  ];
}

const METHODS = {
  gradcam: "Grad-CAM",
  gradients: "integrated gradients",
  "occlusion-time": "leaving out moments",
  "occlusion-frequency": "leaving out frequencies",
};

export const method = (name) => METHODS[name] ?? name;

export function problem(status, reason) {
  const titles = {
    400: "This cannot be scored", 403: "The server refuses this page", 408: "The upload took too long", 413: "This is too much",
    421: "The server is called by another name", 429: "The server is busy", 503: "The server is shutting down", 504: "Decoding took too long",
  };
  const hints = {
    400: "Another file, or the same as WAV, FLAC, MP3 or Ogg, may do.",
    413: "A shorter piece of it may do.",
    429: "Try again in a moment.",
    504: "The same recording as WAV or FLAC may do.",
  };
  return [titles[status] ?? "Something went wrong", `${reason[0].toUpperCase()}${reason.slice(1)}. ${hints[status] ?? ""}`.trim()];
}
