"""One self-contained HTML page per run: no script, no network, pictures and sound inside."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_NUMBER = re.compile(
    r"[-+−]?[\d.,]+(e[-+]?\d+)?(\s*[±…+]\s*[-+−]?[\d.,]+)?\s*(%|[a-zA-Z]{1,4})?|[-+−]?inf|nan|n/a|[–—-]|"
)
POLARITY = "Scores are log-odds of bona fide: higher means more likely real."
COSINES = (
    "Scores are cosines to a direction of bona fide: higher means more likely real. What is calibrated is log-odds."
)


class Headline(NamedTuple):
    """One of the few numbers to see first.

    Attributes:
        label: its name.
        value: in large type.
        hint: what it is, in a few words.
        interval: where it may lie, 95 %, such as "1.2 … 3.4 %"; empty without one.
    """

    label: str
    value: str
    hint: str
    interval: str = ""


@dataclass(frozen=True)
class Sound:
    """A clip to listen to.

    Attributes:
        title: what to call it, such as its id.
        caption: a few words on it, such as its class and score.
        audio: FLAC file.
        picture: PNG file.
        alt: alternative text of the picture.
    """

    title: str
    caption: str
    audio: bytes
    picture: bytes
    alt: str


@dataclass(frozen=True)
class Section:
    """A titled part of the page; what it does not have is left out.

    Attributes:
        title: its heading.
        caption: a sentence or two on how to read it.
        figures: (name, PNG file, alternative text) each; the name is shown below the picture.
        table: header and rows, all text; cells that look like numbers are set right.
        sounds: shown as a grid of small cards.
        text: preformatted.
        small: whether the figures can be read at a third of the page's width.
    """

    title: str
    caption: str = ""
    figures: Sequence[tuple[str, bytes, str]] = ()
    table: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None
    sounds: Sequence[Sound] = ()
    text: str | None = None
    small: bool = False


@dataclass(frozen=True)
class Page:
    """All that a report says, as plain text, PNG and FLAC files.

    Attributes:
        title: of the page.
        headline: the few numbers to see first.
        notes: warnings and reasons, in plain words.
        sections: the rest, in order.
        lead: the sentence below the title.
    """

    title: str
    headline: Sequence[Headline] = ()
    notes: Sequence[str] = ()
    sections: Sequence[Section] = ()
    lead: str = POLARITY


def render(page: Page) -> str:
    """The page as HTML; every text is escaped.

    >>> "<h1>a &lt;b&gt;</h1>" in render(Page(title="a <b>"))
    True
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda data: b64encode(data).decode("ascii")
    environment.tests["numeric"] = _is_numeric
    return environment.get_template("template.html").render(page=page)


def _is_numeric(cell: str) -> bool:
    """Whether a table cell is a number: with a sign, a short unit or a spread perhaps, or missing."""
    return _NUMBER.fullmatch(str(cell).strip()) is not None
