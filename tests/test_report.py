"""Figures draw whatever they are given, and the page is safe to open anywhere."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from time import process_time

import numpy as np
import pandas as pd
import pytest
import soundfile
from matplotlib.figure import Figure
from matplotlib.image import imread

from dfad.deployed import Deployed
from dfad.evaluation import EvaluationKnobs, evaluate, results_of
from dfad.report import calibration, figures
from dfad.report.evaluation import Judged, draw, sections
from dfad.report.groups import MOST, Group, groups, matrix
from dfad.report.inputs import Example, heard, inputs
from dfad.report.page import POLARITY, Headline, Page, Section, Sound, render
from dfad.report.sound import flac, spectrogram
from dfad.report.style import png, thinned
from dfad.scores import ScoreTable

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


CURVES = [
    {},
    {"one": (SCORES, LABELS), NASTY: (-SCORES, LABELS)},
    {"separated": (LABELS - 0.5, LABELS), "two clips": ([1.0, 0.0], [1, 0]), "constant": (0.0 * SCORES, LABELS)},
    {"infinite": ([np.inf, 0.0, -np.inf], [1, 0, 0]), "wrong and sure": ([-np.inf, np.inf], [1, 0])},
    {"one class": ([1.0, 2.0], [1, 1]), "none": ([], []), "NaN": ([np.nan, 1.0], [1, 0])},
    {str(number): (SCORES + number * LABELS, LABELS) for number in range(12)},
]


@pytest.mark.parametrize("curves", CURVES)
@pytest.mark.parametrize("draw", [figures.det, figures.roc, calibration.reliability, calibration.cost_over_prior])
def test_curves_of_several_detectors(draw, curves):
    drawn(draw(curves))


def test_det_marks_the_eer_and_says_why_a_curve_is_missing():
    words = " ".join(texts(figures.det({"cnn": ([1.0, 0.0, 0.5, -1.0], [1, 1, 0, 0]), "fakes": ([1.0], [0])})))
    assert "cnn: EER 50.00%" in words
    assert "fakes: one class only" in words


def test_roc_tells_the_area_below_the_curve():
    assert "cnn: AUROC 0.7500" in texts(figures.roc({"cnn": ([3.0, 1.0, 2.0, 0.0], [1, 1, 0, 0])}))


@pytest.mark.parametrize("draw", [figures.det, figures.roc])
def test_a_long_curve_is_drawn_with_the_points_that_can_be_seen(draw):
    labels = np.arange(200_000) % 2
    line = draw({"long": (RNG.normal(size=labels.size) + labels, labels)}).axes[0].lines[0]
    assert 1000 < len(line.get_xdata()) < 5000


@pytest.mark.parametrize("size", [1, 2, 10, 10_000])
def test_thinning_moves_no_point_of_a_curve_by_more_than_a_cell(size):
    x, y = np.sort(RNG.random(size)), np.sort(RNG.random(size)) ** 3
    few, many = np.stack(thinned(x, y, cells=100)), np.stack((x, y))
    assert few.shape[1] <= 202
    assert (few[:, [0, -1]] == many[:, [0, -1]]).all()
    nearest = np.abs(many[:, :, None] - few[:, None, :]).max(axis=0).min(axis=1)
    assert (nearest <= 0.01).all()


def test_reliability_weighs_the_classes_and_tells_the_calibration_error():
    figure = calibration.reliability({"silent": ([0.0] * 10, [1] * 9 + [0])}, p_spoof=0.25)
    assert "silent: ECE 0.0%" in texts(figure)
    assert [line.get_xydata().tolist() for line in figure.axes[0].lines[1:]] == [[[0.25, 0.25]]]


def test_cost_over_prior_shows_both_costs_and_the_prior_of_asvspoof_5():
    figure = calibration.cost_over_prior({"cnn": (SCORES, LABELS), "fakes": ([1.0], [0])})
    assert {"cnn", "fakes: one class only", "prior of ASVspoof 5", "0\n50%"} <= texts(figure)
    actual, minimum = (line.get_ydata() for line in figure.axes[0].lines[:2])
    assert (minimum <= actual + 1e-12).all()


# --- groups --------------------------------------------------------------------------------------

NAN = float("nan")
GROUPS = [
    Group("A07", 0.1, 0.05, 0.2, 1000, 23_456),
    Group(NASTY * 3, 0.0, 0.0, 0.0, 1, 1),
    Group("one class", NAN, NAN, NAN, 0, 7),
    Group("no interval", 0.5, NAN, NAN, 2, 3),
]


@pytest.mark.parametrize("whole", [None, 0.12, NAN])
@pytest.mark.parametrize("rows", [[], GROUPS, GROUPS[2:3], GROUPS * 10])
def test_groups(rows, whole):
    drawn(groups(rows, whole=whole))


def test_groups_tell_their_values_and_their_clips():
    words = texts(groups(GROUPS, whole=0.123))
    assert {"A07", "10.00%", "1,000 + 23,456", "n/a", "0 + 7", "all clips: 12.30%"} <= words


def test_groups_beyond_the_most_are_counted():
    words = " ".join(texts(groups([Group(f"g{at}", 0.1, 0.0, 0.2, 1, 1) for at in range(42)])))
    assert f"the first {MOST} of 42 groups" in words
    assert f"g{MOST - 1}" in words
    assert f"g{MOST}" not in words


@pytest.mark.parametrize(
    ("values", "rows", "columns", "text"),
    [
        ([[0.0, 0.2], [NAN, 0.9]], ["a", NASTY * 4], ["b", NASTY * 4], None),
        ([[0.1, NAN]], ["a"], ["b", "c"], [["10 ± 2 %", "failed"]]),
        ([[NAN]], ["a"], ["b"], None),
        ([[0.0]], ["a"], ["b"], None),
        ([], [], [], None),
        (np.zeros((2, 0)), ["a", "b"], [], None),
        (RNG.random((3, 20)), ["a", "b", "c"], [f"set {at}" for at in range(20)], None),
    ],
)
def test_matrix(values, rows, columns, text):
    drawn(matrix(values, rows, columns, text=text))


def test_matrix_writes_on_dark_cells_in_white_and_leaves_out_what_is_missing():
    axes = matrix([[0.0, 0.5], [0.25, NAN]], ["a", "b"], ["a", "b"]).axes[0]
    ink = {text.get_text(): text.get_color() for text in axes.texts}
    assert list(ink) == ["0.0%", "50.0%", "25.0%", "–"]
    assert ink["50.0%"] == "white"
    assert ink["0.0%"] != "white"


# --- other figures -------------------------------------------------------------------------------


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
    modules = "from dfad.report import calibration, figures, groups, inputs, sound"
    code = f"import sys; {modules}; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- sound ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_flac_keeps_the_wave(rate):
    wave = RNG.uniform(-1, 1, 1000)
    read, found = soundfile.read(BytesIO(flac(wave, rate)))
    assert found == rate
    assert read == pytest.approx(wave, abs=2 / 2**15)


def test_flac_clips_what_is_too_loud():
    read, _ = soundfile.read(BytesIO(flac([2.0, -np.inf, np.nan, 0.5], 16_000)))
    assert read == pytest.approx([1, -1, 0, 0.5], abs=1e-4)


@pytest.mark.parametrize("wave", [[], [0.5], np.zeros(100), np.zeros(16_000), [np.nan, np.inf], RNG.normal(size=700)])
def test_any_wave_can_be_heard_and_seen(wave):
    soundfile.read(BytesIO(flac(wave, 16_000)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert imread(BytesIO(spectrogram(wave, 16_000))).shape[:2] == (128, 320)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_spectrograms_have_low_frequencies_at_the_bottom_and_time_to_the_right(rate):
    time = np.arange(2 * rate) / rate
    tone = np.where(time < 1, 0.5, 0) * np.sin(2 * np.pi * rate / 8 * time)
    green = imread(BytesIO(spectrogram(tone, rate)))[:, :, 1]
    assert abs(int(green[:, 80].argmax()) - 96) <= 1  # a quarter of the way up
    assert np.ptp(green[:, 240]) == 0


def test_silence_is_dark():
    silent, loud = (imread(BytesIO(spectrogram(wave, 16_000))) for wave in (np.zeros(9000), RNG.normal(size=9000)))
    assert silent[:, :, 1].max() < 0.1 < loud[:, :, 1].mean()


def test_forty_spectrograms_take_less_than_a_second():
    wave = RNG.normal(size=64_000)
    begun = process_time()
    for _ in range(40):
        spectrogram(wave, 16_000)
    assert process_time() - begun < 1


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
        sounds=[Sound(NASTY, NASTY, flac([0.1, 0.2], 16_000), picture, quoted)],
        text=NASTY,
    )
    return render(
        Page(NASTY, [Headline(NASTY, quoted, NASTY, NASTY)], [NASTY], [section, *[Section(str(n)) for n in range(4)]])
    )


def test_page_escapes_every_text(html):
    tags = Tags(html)
    assert not tags.of("script")
    assert len(tags.of("img")) == 2
    assert not [attributes for _, attributes in tags.found if "onerror" in attributes]
    assert (
        html.count("&lt;script&gt;") == 16
    )  # two titles, four of headline and notes, six of the section, three of its sound, nav


def test_page_asks_for_nothing_from_elsewhere(html):
    for tag, attributes in Tags(html).found:
        assert tag not in {"link", "iframe", "object", "embed", "video", "base"}
        for name in ("src", "href", "srcset", "action"):
            assert re.match(r"data:(image/png|audio/flac);base64,|#", attributes.get(name) or "#"), (tag, name)
    style = html.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'; img-src data:; media-src data:;" in html
    assert not re.search(r"https?://", render(Page("t", sections=[Section("s", "c", text="x")])))


def test_page_embeds_its_figures_with_their_alternative_text(html, picture):
    image = Tags(html).of("img")[0]
    assert b64decode(image["src"].removeprefix("data:image/png;base64,")) == picture
    assert image["alt"].startswith('">')


def test_page_embeds_its_sounds_and_loads_none_before_it_is_played(html):
    (player,) = Tags(html).of("audio")
    assert {"controls", "preload", "src"} <= set(player)
    assert player["preload"] == "none"
    assert b64decode(player["src"].removeprefix("data:audio/flac;base64,")) == flac([0.1, 0.2], 16_000)


def test_headlines_show_their_interval_where_they_have_one():
    page = render(Page("t", [Headline("EER", "2 %", "on test", "95 %: 1.2 to 3.4 %"), Headline("Cllr", "0.4", "")]))
    assert page.count('<dd class="interval">') == 1
    assert "95 %: 1.2 to 3.4 %" in page


def test_page_states_the_polarity_once(html):
    assert html.count(POLARITY) == 1


def test_page_leaves_out_what_it_does_not_have():
    tags = {tag for tag, _ in Tags(render(Page("empty", sections=[Section("s")]))).found}
    assert not tags & {"table", "pre", "img", "nav", "dl", "aside", "audio", "article"}


@pytest.mark.parametrize(
    ("cell", "number"),
    [("1,234", 1), ("5.2 %", 1), ("−0.3", 1), ("1e-05", 1), ("2.3 ± 0.4", 1), ("12 ms", 1), ("n/a", 1), ("A07", 0)],
)
def test_numbers_in_tables_are_set_right(cell, number):
    page = render(Page("t", sections=[Section("s", table=(["a", "b"], [["x", cell]]))]))
    assert page.count('<td class="number">') == number


# --- the sections about scores ---------------------------------------------------------------------


def judged(scores: object, **columns: object) -> Judged:
    """Scores of the usual labels, judged without intervals, by all further columns."""
    frame = pd.DataFrame({"id": [f"{row}" for row in range(600)], "score": scores, "label": LABELS, "attack": ""})
    table = ScoreTable(frame.assign(split="test", **columns))  # type: ignore[arg-type]
    options = EvaluationKnobs(resamples=0, by=tuple(columns))
    return Judged(results_of({"test": evaluate(table, options)}, options, Deployed()), "test", table)


def test_scores_with_a_nan_have_a_page() -> None:
    page = judged(np.where(np.arange(600) == 3, np.nan, SCORES))
    pictures = draw(page)
    assert not [name for name in pictures if name.startswith("confusion")]
    assert "Results" in [section.title for section in sections(page, pictures)]


def test_columns_of_like_names_have_pictures_of_their_own() -> None:
    page = judged(SCORES, **{"a/b": ["x", "y"] * 300, "a_b": ["x", "y", "z"] * 200, "語%": "[bold]"})
    pictures = draw(page)
    by = {section.title: section.figures[0][1] for section in sections(page, pictures) if section.title[:3] == "By "}
    assert len({*by.values()}) == len(by) == 3
    assert not any("/" in name for name in pictures)
