"""Reports as a browser shows them: nothing is fetched, nothing is cut off, pictures are seen and sounds are heard."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dfad.commands.evaluate import main
from dfad.report import robustness
from dfad.report.page import Page, render
from dfad.report.robust_runs import write_page
from dfad.robustness.adversaries import ADVERSARIES
from dfad.robustness.conditions import CLEAN
from dfad.robustness.perturbations import LAUNDERING
from dfad.robustness.results import results_of
from tests.browser import CHROMIUM, Tab, tab
from tests.test_robustness_report import RESULTS
from tests.test_robustness_results import AT, many

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")]

LONG = "a-speaker-with-a-very-long-name-without-any-blank-" * 3
OVERFLOW = "[document.documentElement.scrollWidth, window.innerWidth]"
WIDER = (
    "[...document.querySelectorAll('h1,h2,p,figure,img,audio,.headline div,.sound,.notes')]"
    ".filter(e => e.getBoundingClientRect().right > window.innerWidth + 0.5).map(e => e.outerHTML.slice(0, 99))"
)
SCROLLED = (
    "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    ".map(e => e.closest('section').querySelector('h2').textContent)"
)
PICTURES = (
    "Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth, () => 0)))"  # 0 if it is broken
)
SOUNDS = """Promise.all([...document.querySelectorAll('audio')].map(a => new Promise(done => {
    a.onloadedmetadata = () => done(a.duration); a.onerror = () => done(-1); a.preload = 'auto'; a.load(); })))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with tab(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a file of scores with breakdowns, validation, long names and clips to hear."""
    home = tmp_path_factory.mktemp("page")
    random = np.random.default_rng(0)
    for seed, name in enumerate(("test", "val")):
        rows = ["id,score,label,attack,speaker"]
        for row in range(60):
            label = row % 2
            score = random.normal() + 1.5 * label
            attack = "" if label else f"A{row % 5:02}"
            speaker = LONG if row < 10 else f"s{row // 5}"
            rows.append(f"{LONG * (row < 8)}{row}.flac,{score:.6f},{('fake', 'real')[label]},{attack},{speaker}")
        (home / f"{name}.csv").write_text("\n".join(rows) + "\n")
        if not seed:
            for line in rows[1:]:
                wave = 0.2 * random.normal(size=4000 + 100 * len(line))
                soundfile.write(home / line.split(",")[0], np.clip(wave, -1, 1), 16000)
    words = ["dfad evaluate", "test.csv", "--validation", "val.csv", "--by", "attack", "--by", "speaker"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(sys, "argv", [*words, "--report", "page.html", "--audio", str(home), "--resamples", "100"])
        with pytest.raises(SystemExit) as leave:
            main()
    assert not leave.value.code
    return home / "page.html"


@pytest.fixture(scope="module", params=["scores", "run"])
def report(request: pytest.FixtureRequest) -> Path:
    """A report of a file of scores, and that of a training."""
    if request.param == "scores":
        return Path(request.getfixturevalue("page"))
    return Path(request.getfixturevalue("trained")) / "report.html"


@pytest.mark.parametrize("width", [400, 1280])
def test_a_report_in_a_browser(report: Path, width: int, browser: Tab) -> None:
    browser.open(report, width)
    wide, window = browser.evaluate(OVERFLOW)
    assert window == width
    assert wide <= window
    assert browser.evaluate(WIDER) == []
    pictures, sounds = browser.evaluate(PICTURES), browser.evaluate(SOUNDS)
    assert len(pictures) > 5
    assert min(pictures) > 0
    assert len(sounds) >= 1
    assert min(sounds) > 0.1  # seconds
    assert browser.of("Runtime.exceptionThrown") == []
    assert browser.of("Runtime.consoleAPICalled") == []
    assert browser.of("Log.entryAdded") == []
    fetched = [event["request"]["url"] for event in browser.of("Network.requestWillBeSent")]
    assert [url for url in fetched if not url.startswith("data:")] == [report.as_uri()]


@pytest.mark.parametrize("width", [400, 1280])
def test_a_suite_in_a_browser(width: int, browser: Tab, tmp_path: Path) -> None:
    suites = {"plain": RESULTS, LONG: RESULTS}
    write_page(tmp_path / "runs.html", suites, "eer", ["a note"])
    parts = robustness.sections(robustness.Robust(RESULTS, {}), robustness.draw(RESULTS))
    (tmp_path / "run.html").write_text(render(Page("a suite", robustness.headline(RESULTS), sections=parts)))
    for name, count in {"runs.html": 2, "run.html": 3}.items():
        browser.open(tmp_path / name, width)
        wide, window = browser.evaluate(OVERFLOW)
        assert wide <= window == width, name
        assert browser.evaluate(WIDER) == [], name
        pictures = browser.evaluate(PICTURES)
        assert (len(pictures), min(pictures) > 0) == (count, True), name


def test_the_tables_of_a_suite_fit_the_page_of_a_desk(browser: Tab, tmp_path: Path) -> None:
    conditions = [one for name in ("noise-babble", "clipping") for one in LAUNDERING[name].conditions]
    conditions += [one for name in ("pgd-restarts", "pgd-linf", "query") for one in ADVERSARIES[name].conditions]
    tables = {CLEAN: many(0, 2.0), **{one: many(seed, 0.0) for seed, one in enumerate(conditions)}}
    results = results_of(tables, AT, resamples=50, seen={"clipping": "augment.clipping", "pgd-restarts": "adversarial"})
    parts = robustness.sections(robustness.Robust(results, {}), robustness.draw(results))
    (tmp_path / "run.html").write_text(render(Page("a suite", sections=parts)))
    browser.open(tmp_path / "run.html", 1280)
    assert browser.evaluate(SCROLLED) == []


def test_the_policy_of_a_page_stops_a_script_and_a_picture_from_elsewhere(
    page: Path, browser: Tab, tmp_path: Path
) -> None:
    changed = shutil.copy(page, tmp_path / "changed.html")
    more = "<script>document.title = 'changed'</script><img src='http://127.0.0.1:9/x.png'></body>"
    changed.write_text(changed.read_text().replace("</body>", more))
    browser.open(changed, 1280)
    assert browser.evaluate("document.title") == "test"
    said = " ".join(event["entry"]["text"] for event in browser.of("Log.entryAdded"))
    assert said.count("Content Security Policy") >= 2
