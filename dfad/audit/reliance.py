"""Verdicts of an audit by intervention: a word for programs, a sentence for people, the worst first."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from dfad.audit.intervention import Alone, Effect, Finding, Intervened
from dfad.audit.traits import TRAITS
from dfad.audit.treatments import GROUPS, Neutral
from dfad.evaluation.samples import Measured
from dfad.frontends import FrontendKnobs
from dfad.labels import CLASS_NAMES

VERDICTS = {  # the worst first
    "learnt": "the common value costs separation, dealt values do too, and the nuisance alone tells the classes",
    "hurt": "the common value costs separation, but nothing shows that the nuisance was the reason",
    "sensitive": "the common value costs nothing by more than chance, but other values do",
    "disturbed": "the detector separates better without it",
    "none": "no change by more than chance, or next to none",
    "blind": "the detector cannot hear it",
    "open": "the detector does not separate these clips, so there is nothing to lose",
}
ALL, MUCH = 0.7, 0.3  # shares of the separation
VISIBLE = 0.05
_DEALT = "when values are dealt at random"
_WORDS = {trait: words for group in TRAITS.values() for trait, words in group.items()}


@dataclass(frozen=True)
class Verdict:
    """What is said of one group.

    Attributes:
        finding: the numbers.
        kind: a key of `VERDICTS`.
        words: a sentence whose subject is the detector.
        remedy: overrides to train with; empty where there is nothing to mend.
    """

    finding: Finding
    kind: str
    words: str
    remedy: str


def verdicts(found: Intervened, neutral: Neutral, frontend: FrontendKnobs) -> list[Verdict]:
    """Judge every group, and put the worst first: by verdict, then by the share that is lost."""
    judged = []
    for finding in found.findings:
        kind = _kind(found, finding, frontend)
        remedy = "" if kind in ("none", "blind", "open") else GROUPS[finding.group].remedy(neutral, frontend)
        judged.append(Verdict(finding, kind, _words(kind, found, finding, neutral, frontend, remedy), remedy))
    order = list(VERDICTS)
    return sorted(judged, key=lambda one: (order.index(one.kind), -_owed(one.finding)))


def clue(alone: Alone) -> str:
    """What the best trait of a group tells by itself, in words."""
    return (
        f"{CLASS_NAMES[alone.more]} {_WORDS[alone.trait]}, "
        f"AUROC {alone.training.value:.2f} in training, {alone.scored.value:.2f} here"
    )


def _kind(found: Intervened, finding: Finding, frontend: FrontendKnobs) -> str:
    same, swap = finding.same, finding.swap
    if finding.group == "level" and frontend.level != "none" and not same.loses and not swap.loses:
        return "blind"
    if not found.separates:
        return "open"
    if _costs(same) and swap.loses and finding.alone.tells:
        return "learnt"
    if _costs(same):
        return "hurt"
    if _costs(swap):
        return "sensitive"
    return "disturbed" if same.gains and same.share.value <= -VISIBLE else "none"


def _costs(effect: Effect) -> bool:
    """Whether so much is lost that it is worth a word, and by more than chance."""
    return effect.loses and effect.share.value >= VISIBLE


def _owed(finding: Finding) -> float:
    """The share of the separation that both treatments agree on, where the second can be trusted for it.

    Values that can be taken from a clip but not given back go on telling part of the label when they are dealt.
    """
    same, swap = finding.same.share.value, finding.swap.share.value
    share = min(same, swap) if GROUPS[finding.group].gives_back else same
    return -1.0 if isnan(share) else share


def _words(
    kind: str, found: Intervened, finding: Finding, neutral: Neutral, frontend: FrontendKnobs, remedy: str
) -> str:
    group, same, swap = GROUPS[finding.group], finding.same, finding.swap
    if kind == "open":
        return f"does not separate these clips by more than chance ({_area(found.clean['auroc'])}): nothing to lose"
    when = f"when every clip {group.words(neutral)}"
    if kind == "blind":
        how = {"rms": "RMS", "peak": "peak"}[frontend.level]
        return f"cannot use the level: the frontend scales every clip to one {how} (frontend.level={frontend.level})"
    if kind == "none" and not max(same.largest, swap.largest):
        return f"scores every clip as before {when}"
    if kind == "none":
        few = "next to nothing" if same.loses or same.gains else "no more than chance"
        return f"loses {few} {when}: {_share(same.share)} of its separation"
    lost, train = f"loses {_share(same.share)} of its separation {when}", f"; train with {remedy}"
    if kind == "disturbed":
        gain = same.changes["auroc"].value
        return f"separates better {when}, by {gain:.3f} in AUROC: {group.noun} disturbs it on these clips{train}"
    if kind == "sensitive":
        return (
            f"loses no more than chance {when}, {_share(same.share)} of its separation, but {_share(swap.share)} "
            f"{_DEALT}: nothing shows that it needs {group.noun}, but other values hurt it{train}"
        )
    if kind == "hurt" and finding.alone.tells:
        return f"{lost}, but no more than chance {_DEALT}, {_share(swap.share)}: the treatment hurts{train} and compare"
    if kind == "hurt":
        evidence = f", or takes evidence away with {group.takes}" if group.takes else ""
        return (
            f"{lost}; but {group.noun} alone does not tell the classes apart in training and here in the same way "
            f"({clue(finding.alone)}): the treatment hurts{evidence}{train} and compare"
        )
    share = _owed(finding)
    degree = "it had learnt" if share >= ALL else "much of what it had learnt is" if share >= MUCH else "it leans on"
    caution = f"; {group.takes} is gone too and may be evidence{train} and compare" if group.takes else train
    return f"{lost}, and {_share(swap.share)} {_DEALT}: {degree} {group.noun} ({clue(finding.alone)}){caution}"


def _area(measured: Measured) -> str:
    low, high = measured.interval
    return f"AUROC {measured.value:.2f}, {low:.2f} … {high:.2f}"


def _share(share: Measured) -> str:
    """A share in percent, with its interval."""
    low, high = share.interval
    between = "" if isnan(low) else f" ({_percent(low)} … {_percent(high)})"
    return f"{_percent(share.value)} %{between}"


def _percent(share: float) -> str:
    """A whole number.

    >>> _percent(-0.001), _percent(0.934)
    ('0', '93')
    """
    return f"{round(100 * share)}".replace("-", "−")
