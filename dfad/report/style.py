"""One look for all figures: colours, panels, and text that any clip name survives.

Figures are made without pyplot, so nothing global is touched and threads may draw at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Okabe and Ito's palette, told apart by colour-blind readers; blue prints darker than orange.
BONA_FIDE, SPOOF = "#0072B2", "#E69F00"
INK, MUTED, FAINT = "#222222", "#6B6B6B", "#DDDDDD"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#8C6D00", "#000000")
DASHES = ("-", "--", "-.", ":")
WIDTH = 5.6  # inches: 10 point text is then 15 pixels high at 600 pixels, and 9 on a phone


def figure(height: float) -> Figure:
    """An empty white figure of the common width; height in inches."""
    return Figure(figsize=(WIDTH, height), dpi=180, layout="constrained", facecolor="white")


def panel(axes: Axes, title: str = "", x: str = "", y: str = "") -> Axes:
    """Give a panel its title, its axis names and the common look."""
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xlabel(x, fontsize=10, color=INK)
    axes.set_ylabel(y, fontsize=10, color=INK)
    axes.tick_params(labelsize=9, color=MUTED, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def say(axes: Axes, words: str) -> None:
    """Write in the middle of a panel that there is nothing to draw, and why."""
    axes.annotate(
        safe(words),
        (0.5, 0.5),
        xycoords="axes fraction",
        ha="center",
        va="center",
        fontsize=10,
        color=MUTED,
        bbox={"facecolor": "white", "edgecolor": "none"},
    )


def legend(axes: Axes) -> None:
    """A quiet legend inside a panel, where it hides least."""
    axes.legend(fontsize=9, framealpha=0.85, edgecolor="none", borderpad=0.3)


def legend_above(fig: Figure, axes: Axes, columns: int = 2) -> None:
    """A legend above the only panel of a figure, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper left", ncols=columns, fontsize=9, frameon=False)


def safe(text: str, longest: int = 60) -> str:
    r"""Text that Matplotlib draws as it stands: no mathematics, no hidden legend entry, no missing glyph.

    >>> safe("_a$b$\n語")
    ' _a\\$b\\$??'
    >>> safe("training/real/file17.wav", longest=12)
    'trai…e17.wav'
    """
    if len(text) > longest:  # the end of a path says more than its middle
        head = longest // 3
        text = f"{text[:head]}…{text[len(text) - (longest - head - 1) :]}"
    glyphs, text = _glyphs(), text.replace("\xa0", " ")  # a blank that keeps a line together is still a blank
    drawn = "".join(letter if ord(letter) in glyphs and letter.isprintable() else "?" for letter in text)
    return (" " if drawn.startswith("_") else "") + drawn.replace("$", r"\$")


def without(name: str, error: Exception) -> str:
    """Legend entry of a curve that cannot be drawn: its name and the first words of the reason.

    >>> without("fakes", ValueError("one class only: every clip is spoof"))
    'fakes: one class only'
    """
    return f"{safe(name, 40)}: {safe(str(error).split(':')[0])}"


def thinned(x: Floats, y: Floats, cells: int = 2000) -> tuple[Floats, Floats]:
    """The points of a monotonic curve that can be seen: one of each cell that it goes through, and the last.

    Shape:
        - x, y: (points,) finite; the output has at most 2 * cells + 2 of them.

    >>> thinned(np.array([0.0, 0.1, 0.2, 1.0]), np.array([0.0, 0.1, 0.2, 1.0]), cells=2)
    (array([0., 1.]), array([0., 1.]))
    """
    keep = np.zeros(x.size, dtype=np.bool_)
    keep[[0, -1]] = True
    for values in (x, y):
        low, high = values.min(), values.max()
        cell = ((values - low) * (cells / max(high - low, 1e-12))).astype(np.int64)
        keep[1:] |= cell[1:] != cell[:-1]
    return x[keep], y[keep]


def limits(values: Iterable[float], margin: float = 0.03) -> tuple[float, float]:
    """Limits that hold all finite values with a margin, never of zero width.

    >>> limits([0.0, 1.0], margin=0.5), limits([2.0]), limits([])
    ((-0.5, 1.5), (1.5, 2.5), (-0.5, 0.5))
    """
    known = [value for value in values if abs(value) < float("inf")]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    pad = (high - low) * margin or 0.5
    return low - pad, high + pad


def png(drawing: Figure) -> bytes:
    """The figure as a PNG file, 1008 pixels wide."""
    buffer = BytesIO()
    drawing.savefig(buffer, format="png")
    return buffer.getvalue()


@cache
def _glyphs() -> frozenset[int]:
    """Code points of the font that comes with Matplotlib."""
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
