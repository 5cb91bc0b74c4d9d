"""The page of an explanation: verdict, picture, sound, and the parts that matter most in words."""

from __future__ import annotations

from math import isnan

import numpy as np

from dfad.explain import Explanation
from dfad.report.explanation import READ, TITLES, picture, span, verdict
from dfad.report.page import Headline, Page, Section, Sound, render
from dfad.report.sound import flac, spectrogram
from dfad.report.style import png

_MOST = 3  # slices and bands that are named
_METHODS = {
    "gradcam": "Grad-CAM weighs the last map that the network makes: coarse, and what it took for evidence.",
    "gradients": "Integrated gradients tell cell by cell what moves the score from that of a sound without structure, "
    "noise as loud as the clip, to that of the clip; together they are the difference.",
    "occlusion": "The bars tell how much less the detector speaks for spoof, in its raw score, once a slice or a band "
    "is replaced by such noise.",
}


def page_of(found: Explanation, name: str, run: str) -> tuple[bytes, str]:
    """The picture as a PNG file, and the page as HTML.

    Args:
        found: what is shown.
        name: of the clip.
        run: that says so.
    """
    drawn = png(picture(found, name))
    made = [one.name for one in found.maps]
    how = [text for key, text in _METHODS.items() if any(one.startswith(key) for one in made)]
    alt = f"spectrogram and score over time; {', '.join(TITLES.get(one, one) for one in made)} of {span(found)}"
    sections = [
        Section(
            "What speaks for spoof, and when",
            " ".join([READ, *how]),
            figures=[(f"the score over time, and maps of {span(found)}", drawn, alt)],
        )
    ]
    if rows := _most(found):
        caption = "By occlusion, in units of the raw score: what the detector would say less for spoof without it."
        sections.append(Section("What matters most", caption, table=(("part", "less for spoof"), rows)))
    sound = Sound(
        f"the explained part, {span(found)}",
        f"{found.crop.verdict}, score {found.crop.score:.3g}",
        flac(found.heard, found.sample_rate),
        spectrogram(found.heard, found.sample_rate),
        "its spectrogram",
    )
    sections.append(Section("To hear", "As the detector hears it: mono, at its sample rate.", sounds=[sound]))
    page = Page(
        f"{name}: {found.result.verdict}", _headline(found), _notes(found), sections, f"{run}: {verdict(found)}."
    )
    return drawn, render(page)


def _headline(found: Explanation) -> list[Headline]:
    whole, crop = found.result, found.crop
    if isnan(whole.p_spoof):
        first = Headline("score", f"{whole.score:.3f}", f"{whole.unit}; higher is more bona fide")
        part = Headline("of the explained part", f"{crop.score:.3f}", span(found))
        line = Headline("threshold", f"{whole.threshold:.3f}", whole.threshold_from)
    else:
        first = Headline("P(spoof)", f"{whole.p_spoof:.3f}", f"{whole.aggregation} of {len(whole.windows)} windows")
        part = Headline("of the explained part", f"{crop.p_spoof:.3f}", span(found))
        line = Headline("threshold of P(spoof)", f"{found.p_threshold:.3f}", whole.threshold_from)
    return [Headline("verdict", whole.verdict, f"{whole.duration_s:.2f} s of sound"), first, line, part]


def _notes(found: Explanation) -> list[str]:
    notes = [*found.result.warnings, *found.notes]
    if not isnan(found.p_baseline):
        notes.append(
            f"noise without structure, which the clip is compared with, has P(spoof) {found.p_baseline:.3f} here: "
            "the maps tell what differs from it"
        )
    if not found.result.calibrated:
        notes.append("the score is raw: P(spoof) is not calibrated")
    return notes


def _most(found: Explanation) -> list[tuple[str, str]]:
    """The slices and bands that speak most for spoof, if any do."""
    rows = []
    for name, unit, scale in (("occlusion-time", "s", 1), ("occlusion-frequency", "kHz", 1000)):
        if not (one := found.map(name)):
            continue
        values = one.values.ravel()
        ends = (one.seconds if unit == "s" else one.hertz) / scale
        for at in np.argsort(-values)[:_MOST]:
            if values[at] > 0:
                rows.append((f"{ends[at]:.2f} to {ends[at + 1]:.2f} {unit}", f"{values[at]:+.2f}"))
    return rows
