"""The page of `dfad serve` as a person meets it, driven in headless Chromium by Playwright."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.browser import CHROMIUM
from tests.hostile import encoded
from tests.serving import Server, serving

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'dfad[dev]'")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")]

FLAGS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"
RESULT, MAPS = "#result:not([hidden])", "#method-label:not([hidden])"
INK = """id => { const canvas = document.getElementById(id), seen = new Set();
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const data = copy.getImageData(0, 0, canvas.width, canvas.height).data;
    for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    return seen.size; }"""


@pytest.fixture(scope="module")
def served(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(trained, "--max-mb", "1", cwd=tmp_path_factory.mktemp("server")) as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


class Visit:
    """A page, what its console says, and what it fetches from elsewhere."""

    def __init__(self, browser: playwright.Browser, served: Server, width: int, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self._fetched(request.url, served.url))
        self.page.on("filechooser", lambda _: None)  # now, as choosers are seen only some time after one asks for them
        self.page.goto(served.url)
        self.page.wait_for_selector("html[data-ready]")

    def _fetched(self, url: str, own: str) -> None:
        if not url.startswith((f"{own}/", f"blob:{own}/")):
            self.elsewhere.append(url)

    def fits(self) -> bool:
        wide, window = self.page.evaluate(WIDTHS)
        return bool(wide <= window)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Noise, and then a buzz."""
    time = np.arange(16_000) / 16_000
    wave = np.concatenate((0.1 * np.random.default_rng(0).normal(size=16_000), 0.2 * np.sign(np.sin(900 * time))))
    soundfile.write(tmp_path / "clip.wav", wave, 16_000)
    return tmp_path / "clip.wav"


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1280, "light")])
def test_from_a_file_to_its_explanation(
    width: int, scheme: str, served: Server, browser: playwright.Browser, clip: Path, tmp_path: Path
) -> None:
    visit = Visit(browser, served, width, scheme)
    page = visit.page
    assert visit.fits()
    page.set_input_files("#file", clip)
    page.wait_for_selector(RESULT)
    said = served.ask("/score", clip.read_bytes()).json
    words = {"spoof": "synthetic", "bona-fide": "real"}
    assert words[said["verdict"]] in page.inner_text("#verdict")
    assert "chance that it is synthetic" in page.inner_text("#chance")
    assert page.locator("#parts tr").count() == len(said["windows"])
    assert visit.fits()
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "score.json")
    assert json.loads((tmp_path / "score.json").read_text())["score"] == pytest.approx(said["score"], abs=1e-5)
    assert page.evaluate(INK, "wave") > 1
    before = page.evaluate(INK, "spectrogram")
    assert before > 30
    page.check("#explain")
    page.wait_for_selector(MAPS)
    assert page.locator("#method option").count() >= 3
    assert page.evaluate(INK, "spectrogram") > 1.5 * before  # colours came over the greys
    page.uncheck("#explain")
    assert page.evaluate(INK, "spectrogram") == before
    box = page.locator("#spectrogram").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 20)
    assert 1.2 < page.evaluate("document.getElementById('player').currentTime") < 1.6
    assert visit.fits()
    assert (visit.said, visit.elsewhere) == ([], [])
    visit.context.close()


def test_by_keyboard_alone(served: Server, browser: playwright.Browser, clip: Path) -> None:
    visit = Visit(browser, served, 1280)
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(clip)
    page.wait_for_selector(RESULT)
    assert page.evaluate("document.activeElement.id") == "result"
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        here = page.evaluate("document.activeElement.id")
        reached.add(here)
        if here == "explain" and not page.is_checked("#explain"):
            page.keyboard.press("Space")
            page.wait_for_selector(MAPS)
        if here == "seek":
            page.keyboard.press("End")
            assert page.evaluate("document.getElementById('player').currentTime") == pytest.approx(2, abs=0.05)
            assert "of 2.00 s" in page.get_attribute("#seek", "aria-valuetext")
        if here == "download":
            break
    assert {"player", "explain", "method", "seek", "download"} <= reached
    unnamed = page.evaluate(
        "[...document.querySelectorAll('canvas, audio, input, select, button')].filter(e => !e.labels?.length &&"
        " !e.getAttribute('aria-label') && !e.textContent.trim()).map(e => e.outerHTML)"
    )
    assert unnamed == []
    assert visit.said == []
    visit.context.close()


def test_what_goes_wrong_is_said_in_plain_words(served: Server, browser: playwright.Browser, tmp_path: Path) -> None:
    visit = Visit(browser, served, 400)
    page = visit.page
    for content, words in {b"hello" * 999: "cannot be scored", bytes(2 * 2**20): "too much"}.items():
        (tmp_path / "bad.mp3").write_bytes(content)
        page.set_input_files("#file", tmp_path / "bad.mp3")
        page.locator("[role=alert] .problem", has_text=words).wait_for()
        assert page.is_hidden("#result")
        assert visit.fits()
    assert all("400 (Bad Request)" in text for text in visit.said)  # which browsers say of every such answer
    page.set_input_files("#file", {"name": "good.wav", "mimeType": "audio/wav", "buffer": encoded(np.zeros(16_000))})
    page.wait_for_selector(RESULT)
    assert page.locator(".problem").count() == 0
    assert "hardly any sound" in page.inner_text("#warnings")
    visit.context.close()


def test_a_recording_with_the_microphone(served: Server, browser: playwright.Browser) -> None:
    visit = Visit(browser, served, 1280)
    visit.page.click("#record")
    visit.page.wait_for_selector("#record.recording")
    visit.page.wait_for_timeout(1500)
    visit.page.click("#record")
    visit.page.wait_for_selector(RESULT)
    assert visit.page.inner_text("#name").startswith("recording.wav")
    assert (visit.said, visit.elsewhere) == ([], [])
    visit.context.close()


def test_the_page_of_the_api(served: Server, browser: playwright.Browser) -> None:
    visit = Visit(browser, served, 400)
    visit.page.goto(f"{served.url}/docs")
    visit.page.wait_for_selector("section.call")
    assert "POST /score" in visit.page.inner_text("main")
    assert visit.fits()
    assert (visit.said, visit.elsewhere) == ([], [])
    visit.context.close()
