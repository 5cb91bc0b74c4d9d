"""Findings in plain words, and the override that goes with each."""

from __future__ import annotations

from math import floor

import numpy as np

from dfad.audit.drift import Drift
from dfad.audit.features import SHARES, Remedies
from dfad.audit.findings import Finding
from dfad.audit.measure import Measured
from dfad.audit.model import RANDOM, TRAIN_TEST, Trial
from dfad.audit.overlap import Overlap
from dfad.labels import Label
from dfad.metrics.bootstrap import Interval

UNITS = ("clip", "speaker", "source", "page")
NAMES = {Label.BONA_FIDE: "bona fide", Label.SPOOF: "spoof"}
_THINGS = {"speaker": "speaker{s}", "text": "text{s} ({column})", "content": "sound{s}, sample by sample,"}
_APART = {
    "speaker": ": what tells speakers apart tells the classes apart",
    "text": ": what is said may tell the class",
    "content": "",
}
_IN_CLASSES = {"speaker": "", "text": "", "content": ": one sound with both labels"}
_IN_SPLITS = {
    "speaker": ": results there are not all of new speakers",
    "text": ": results there are not all of new texts",
    "content": ": what was heard before is tested on",
}
_LEAST_F_MAX, _MOST_F_MAX = 4000, 7500  # Hz; below lies the speech, above the filters of resampling
_RARELY = 0.05  # share of clips that may have less than a remedy leaves


def remedies(measured: Measured) -> Remedies:
    """Numbers that fit nearly every clip, whatever its label or split."""
    numbers = measured.numbers
    seconds = float(np.quantile(numbers["duration"], _RARELY))
    edge = float(np.nanquantile(np.append(numbers["cut_off"].to_numpy(), _MOST_F_MAX), _RARELY))
    lowest = 0.45 * float(numbers["rate"].min())
    return Remedies(min(60.0, max(0.1, floor(10 * seconds) / 10)), _f_max(edge), _f_max(lowest))


def _f_max(hertz: float) -> float:
    return float(min(_MOST_F_MAX, max(_LEAST_F_MAX, 250 * floor(hertz / 250))))


def override_of(finding: Finding, numbers: Remedies) -> str:
    """What to type behind `dfad train` against a shortcut; "" where there is nothing, or nothing is named."""
    return finding.column.feature.override.format(**vars(numbers)) if finding.named else ""


def seen(finding: Finding) -> str:
    """What was found, in a few words: which class has more of it, and how much."""
    feature, column = finding.column.feature, finding.column
    who, other = NAMES[finding.higher], NAMES[Label(1 - finding.higher)]
    more, less = finding.classes[finding.higher], finding.classes[Label(1 - finding.higher)]
    if column.shares:
        shares = " of bona fide, ".join(percent(finding.classes[label][1]) for label in (Label.BONA_FIDE, Label.SPOOF))
        return f"{shares} of spoof"
    if finding.kind == "spread":
        ends = [f"{number(finding, low)} … {number(finding, high)}" for low, _, high in (more, less)]
        return (
            f"{who} lies further from the middle: half of it within {ends[0]}{feature.unit}, half of {other} {ends[1]}"
        )
    pairs = {
        name: (number(finding, more[quartile]), number(finding, less[quartile]))
        for name, quartile in (("median", 1), ("upper quartile", 2), ("lower quartile", 0))
    }
    name = next((name for name, (one, two) in pairs.items() if one != two), "median")
    return f"{who} is {feature.more}: {name} {pairs[name][0]}{feature.unit} against {pairs[name][1]}"


def number(finding: Finding, value: float) -> str:
    """A value of the feature as people read it, without its unit."""
    scale = 100 if finding.column.base in SHARES else 1
    return f"{scale * value:,.{finding.column.feature.digits}f}".replace("-", "−")


def doubt(finding: Finding, unit: str) -> str:
    """What speaks against a finding, in words; empty if nothing does.

    Args:
        finding: it.
        unit: over which it was held, such as `speaker`.
    """
    if not finding.sure:
        return "no more than chance may give"
    if not finding.named:
        return "real, but too little to be named"
    few = f"a few {unit}s" if unit in UNITS else f"a few values of {unit}"
    return f"it may rest on {few}" if finding.holds is False else ""


def advice(finding: Finding, numbers: Remedies) -> str:
    """What a detector can do with a shortcut, and what can be done about it; empty if nothing is named."""
    if not finding.named:
        return ""
    feature, override = finding.column.feature, override_of(finding, numbers)
    remedy = f"{override} {feature.effect}" if override else feature.effect
    return f"{_capital(feature.use)}; {remedy}."


def verdict(finding: Finding, numbers: Remedies, unit: str) -> str:
    """The whole of a finding in a sentence or two; arguments as of `doubt` and `advice`."""
    found = "; ".join(filter(None, (seen(finding), doubt(finding, unit))))
    return f"{found}. {advice(finding, numbers)}" if finding.named else found


def drift_verdict(drift: Drift) -> str:
    """What becomes of a feature from training to test, in words."""
    name = {
        "flips": "the shortcut flips: what training teaches is wrong on test",
        "gone": "the shortcut of training is gone on test: what relies on it will guess",
        "holds": "the shortcut holds on test too: results there do not show that it is one",
        "unclear": "whether the shortcut of training holds on test cannot be told",
        "": "",
    }[drift.fate]
    if not drift.named:
        return name or "no more than chance may give, or little"
    key = max(drift.areas, key=lambda name: abs(drift.areas[name].value - 0.5))
    more = drift.areas[key].value > 0.5
    word = drift.column.word
    whose = {"all": "", "bona-fide": "bona fide ", "spoof": "spoof "}[key]
    first, second = ("training", "test") if more else ("test", "training")
    if word:
        differs = f"{drift.column.title}: more frequent among {whose}{first} clips"
    else:
        differs = f"{whose}{first} clips are {drift.column.feature.more} than {second} clips"
    return f"{name}; {differs}" if name else differs


def overlap_verdict(overlap: Overlap) -> str:
    """What an overlap means."""
    first, second = overlap.between
    count = f"{overlap.shared} " if overlap.shared else "no "
    name = count + _THINGS[overlap.what].format(column=overlap.column, s="" if overlap.shared == 1 else "s")
    classes = second == "spoof"
    if first == second:
        return f"{overlap.clips} of {overlap.of} clips of {first} repeat the samples of another"
    if not overlap.shared:
        return f"{name} in both" + (_APART[overlap.what] if classes else "")
    means = _IN_CLASSES[overlap.what] if classes else _IN_SPLITS[overlap.what]
    return f"{name} in both, {percent(overlap.clips / overlap.of)} of the {second} clips{means}"


def model_verdict(trials: list[Trial]) -> str:
    """How much of a random split's result is left where groups stay together."""
    found = {trial.how: trial for trial in trials if trial.features == "all"}
    random = found.pop(RANDOM, None)
    others = [trial for how, trial in found.items() if how != TRAIN_TEST]
    if random is None or random.eer != random.eer:
        return "there are too few clips for a model"
    said = f"without listening, a small model reaches an EER of {percent(random.eer)} on a random split"
    if not random.interval.high < 0.5:
        return f"{said}, which is no better than guessing"
    if not others:
        return f"{said}; no column says which clips belong together, such as speaker or source"
    worst = others[0]
    if worst.eer != worst.eer:
        return f"{said}; by {worst.how} it cannot be tested: {worst.note}"
    apart = clearly(random.interval, worst.interval)
    how = "clearly worse" if apart == 1 else "clearly better" if apart == -1 else "not clearly different"
    meant = ": most of it does not carry over, and a random split would hide that" if apart == 1 else ""
    return f"{said}, and {percent(worst.eer)} on other values of {worst.how}, which is {how}{meant}"


def clearly(one: Interval, other: Interval) -> int:
    """Which of two intervals lies wholly above: 1 the other, -1 the one, 0 neither."""
    return int(other.low > one.high) - int(one.low > other.high)


def percent(share: float) -> str:
    """A share as people read it.

    >>> percent(0.5), percent(0.004), percent(0.0)
    ('50 %', '0.4 %', '0 %')
    """
    return f"{100 * share:.0f} %" if share in (0, 1) or 0.1 <= share <= 0.995 else f"{100 * share:.1f} %"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
