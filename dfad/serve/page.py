"""The files of the page for a person, and of the one that shows the API: all that a browser is given."""

from __future__ import annotations

from importlib.resources import files

_SCRIPT, _STYLE, _HTML = "text/javascript", "text/css", "text/html"
FILES = {  # route → file, and its type; there is no other way to a file
    "/": ("index.html", _HTML),
    "/docs": ("docs.html", _HTML),
    "/static/style.css": ("style.css", _STYLE),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
    **{
        f"/static/{name}.js": (f"{name}.js", _SCRIPT)
        for name in ("main", "sound", "draw", "words", "view", "docs", "transform")
    },
}


def read(name: str) -> bytes:
    """The content of one of them."""
    return (files("dfad.serve") / "static" / name).read_bytes()
