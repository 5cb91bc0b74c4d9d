"""Figures draw whatever they are given, and the page is safe to open anywhere."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from dfad.report import figures
from dfad.report.inputs import Example, heard, inputs
from dfad.report.page import POLARITY, Page, Section, render
from dfad.report.style import png

RNG = np.random.default_rng(0)
LABELS = np.repeat([1, 0], 300)
SCORES = RNG.normal(size=600) + 2 * LABELS - 1
EPOCHS = np.arange(5)
HISTORY = {f"{phase}/{name}": (EPOCHS, RNG.random(5)) for phase in ("train", "val") for name in ("loss", "accuracy")}
NASTY = "<script>alert('x')</script> & $a_b$ \n_語"


def drawn(figure: Figure) -> bytes:
    """The picture, with every warning (missing glyphs, empty legends, identical limits) an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = png(figure)
    assert data.startswith(b"\x89PNG")
    return data


def texts(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))}


def example(title: str = "clip", **changes: object) -> Example:
    values = {"wave": RNG.normal(size=1600) * 0.1, "sample_rate": 16_000, "features": RNG.random((20, 30))}
    return Example(**{**values, "augmented": RNG.random((20, 30)), "title": title, **changes})


# --- figures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "panels"),
    [
        ({}, 2),
        (HISTORY, 2),
        ({**HISTORY, "val/eer": (EPOCHS, EPOCHS / 9)}, 3),
        ({**HISTORY, "val/eer": (EPOCHS, EPOCHS / 9), "val/cllr": (EPOCHS, EPOCHS)}, 4),
        ({"train/loss": ([0], [0.5]), "val/loss": ([], []), "val/accuracy": ([0, 1], [np.nan, np.inf])}, 2),
    ],
)
def test_learning_curves(history, panels):
    figure = figures.learning_curves(history)
    drawn(figure)
    assert len(figure.axes) == panels


@pytest.mark.parametrize("matrix", [[[90, 10], [0, 100]], [[0, 0], [3, 120_000]], [[0, 0], [0, 0]]])
def test_confusion(matrix):
    figure = figures.confusion(matrix)
    drawn(figure)
    assert {"bona-fide", "spoof", "truth", "decision", f"{matrix[1][1]:,}"} <= texts(figure)


@pytest.mark.parametrize(
    "curves",
    [
        {},
        {"one": (SCORES, LABELS), NASTY: (-SCORES, LABELS)},
        {"separated": (LABELS - 0.5, LABELS), "two clips": ([1.0, 0.0], [1, 0]), "constant": (0.0 * SCORES, LABELS)},
        {"infinite": ([np.inf, 0.0, -np.inf], [1, 0, 0])},
        {"one class": ([1.0, 2.0], [1, 1]), "none": ([], []), "NaN": ([np.nan, 1.0], [1, 0])},
        {str(number): (SCORES + number * LABELS, LABELS) for number in range(12)},
    ],
)
def test_det(curves):
    drawn(figures.det(curves))


def test_det_marks_the_eer_and_says_why_a_curve_is_missing():
    words = " ".join(texts(figures.det({"cnn": ([1.0, 0.0, 0.5, -1.0], [1, 1, 0, 0]), "fakes": ([1.0], [0])})))
    assert "cnn: EER 50.00%" in words
    assert "fakes: one class only" in words


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        (SCORES, LABELS),
        ([], []),
        ([2.0], [1]),
        ([1.0, 1.0], [0, 0]),
        ([np.nan, np.inf, -np.inf, 0.0], [1, 1, 0, 0]),
        ([np.nan], [1]),
        (np.append(SCORES, 1e30), np.append(LABELS, 1)),
    ],
)
def test_histogram(scores, labels):
    drawn(figures.histogram(scores, labels, {"raw": 0.0, NASTY: 1.5, "undefined": np.nan, "reject all": np.inf}))


def test_one_far_score_does_not_squeeze_the_histogram():
    axes = figures.histogram([*np.repeat(SCORES, 10), 1e6], [*np.repeat(LABELS, 10), 1]).axes[0]
    assert axes.get_xlim()[1] < 10


@pytest.mark.parametrize(
    "examples",
    [
        [],
        [example(), example(NASTY * 9)],
        [example(wave=np.zeros(0), features=np.zeros((0, 0)), augmented=np.full((4, 4), -np.inf))],
        [example(wave=np.zeros(1600), features=np.zeros((4, 4)))],
    ],
)
def test_inputs(examples):
    figure = inputs(examples)
    drawn(figure)
    assert len(figure.axes) == max(3 * len(examples), 1)


@pytest.mark.parametrize(
    "features", [RNG.random((20, 30)), RNG.normal(size=1600) * 0.1, np.zeros((20, 30)), np.zeros(0)]
)
def test_what_the_network_hears_of_one_clip(features):
    drawn(heard(RNG.normal(size=1600), features, 16_000))


def test_figures_never_import_pyplot():
    code = "import sys, dfad.report.figures, dfad.report.inputs; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- the page ------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Start tags with their attributes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def picture() -> bytes:
    return drawn(figures.confusion([[1, 2], [3, 4]]))


@pytest.fixture(scope="module")
def html(picture: bytes) -> str:
    quoted = '"><img src=x onerror=alert(1)>'
    section = Section(
        title=NASTY,
        caption=NASTY,
        figures=[(NASTY, picture, quoted)],
        table=(["clip", NASTY], [[NASTY, "0.5"], ["http://example.org/a.wav", "n/a"]]),
        text=NASTY,
    )
    return render(Page(NASTY, [(NASTY, quoted, NASTY)], [NASTY], [section, *[Section(str(n)) for n in range(4)]]))


def test_page_escapes_every_text(html):
    tags = Tags(html)
    assert not tags.of("script")
    assert len(tags.of("img")) == 1
    assert not [attributes for _, attributes in tags.found if "onerror" in attributes]
    assert html.count("&lt;script&gt;") == 12  # two titles, three of the headline and notes, six of the section, nav


def test_page_asks_for_nothing_from_elsewhere(html):
    for tag, attributes in Tags(html).found:
        assert tag not in {"link", "iframe", "object", "embed", "audio", "video", "base"}
        for name in ("src", "href", "srcset", "action"):
            assert re.match(r"data:image/png;base64,|#", attributes.get(name) or "#"), (tag, name)
    style = html.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in html
    assert not re.search(r"https?://", render(Page("t", sections=[Section("s", "c", text="x")])))


def test_page_embeds_its_figures_with_their_alternative_text(html, picture):
    image = Tags(html).of("img")[0]
    assert b64decode(image["src"].removeprefix("data:image/png;base64,")) == picture
    assert image["alt"].startswith('">')


def test_page_states_the_polarity_once(html):
    assert html.count(POLARITY) == 1


def test_page_leaves_out_what_it_does_not_have():
    tags = {tag for tag, _ in Tags(render(Page("empty", sections=[Section("s")]))).found}
    assert not tags & {"table", "pre", "img", "nav", "dl", "aside"}


@pytest.mark.parametrize(
    ("cell", "number"),
    [("1,234", 1), ("5.2 %", 1), ("−0.3", 1), ("1e-05", 1), ("2.3 ± 0.4", 1), ("12 ms", 1), ("n/a", 1), ("A07", 0)],
)
def test_numbers_in_tables_are_set_right(cell, number):
    page = render(Page("t", sections=[Section("s", table=(["a", "b"], [["x", cell]]))]))
    assert page.count('<td class="number">') == number
