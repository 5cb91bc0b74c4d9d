"""The page of an audit: pictures of whatever there is, and how a browser shows it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dfad.commands.audit import main
from dfad.report.shortcut import Panel, distributions, shares
from dfad.report.style import png
from tests.browser import CHROMIUM, Tab, tab
from tests.planted import in_spoof, planted
from tests.test_browser import OVERFLOW, PICTURES, WIDER

NOTHING, NUMBERS = np.zeros(0), np.random.default_rng(0).normal(size=50)
UNKNOWN = np.full(5, np.nan)


@pytest.mark.parametrize(
    "panels",
    [
        [("train", NUMBERS, NUMBERS + 1)],
        [("train", NUMBERS, NOTHING), ("test", NOTHING, NOTHING)],
        [("constant $x$ <b>", np.ones(9), np.ones(3)), ("unknown", UNKNOWN, UNKNOWN)],
        [("one", np.ones(1), np.zeros(1)), ("far", np.array([-1e9, 0, 1e9]), NUMBERS)],
        [(str(number), NUMBERS, NUMBERS) for number in range(4)],
    ],
)
def test_pictures_of_whatever_there_is(panels: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    given = [Panel(title, (spoof, real)) for title, spoof, real in panels]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for drawn in (distributions(given, "level, dB"), shares([Panel("words", (NUMBERS > 0, NOTHING)), *given[:1]])):
            assert png(drawn).startswith(b"\x89PNG")


def test_far_values_squeeze_nothing() -> None:
    wide = np.append(np.random.default_rng(1).normal(size=1000), 1e9)
    axes = distributions([Panel("train", (wide, wide))], "x").axes[0]
    assert axes.get_xlim()[1] < 10


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a corpus with shortcuts of three groups, and with long names."""
    root = tmp_path_factory.mktemp("corpus")

    def change(wave: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return np.pad(0.3 * wave, (4000, 0))

    def name(label: str, number: int) -> str:
        return f"{'a_very_long_name' * 8}{number}.{'mp3' if label == 'fake' else 'raw'}"

    how = {"store": lambda label: {"subtype": "PCM_24"} if label == "fake" else {}, "name": name}
    planted(root, 9, clips=100, plant=in_spoof(change), **how).write(root / "clips.csv")
    (root / f"{'a_very_long_name' * 8}0.raw.wav").write_bytes(b"no audio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dfad audit", str(root / "clips.csv"), "--out", str(root / "out")])
        with pytest.raises(SystemExit) as leave:
            main()
    assert not leave.value.code
    return root / "out" / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with tab(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_in_a_browser(page: Path, width: int, browser: Tab) -> None:
    browser.open(page, width)
    wide, window = browser.evaluate(OVERFLOW)
    assert wide <= window == width
    assert browser.evaluate(WIDER) == []
    pictures = browser.evaluate(PICTURES)
    assert len(pictures) > 5
    assert min(pictures) > 0
    assert browser.of("Log.entryAdded") == []
    fetched = [event["request"]["url"] for event in browser.of("Network.requestWillBeSent")]
    assert [url for url in fetched if not url.startswith("data:")] == [page.as_uri()]
