"""The corpus that a word of the command line means."""

from __future__ import annotations

from pathlib import Path

from dfad.corpora import CORPORA, CorpusKnobs
from dfad.errors import ConfigError, DataError, did_you_mean
from dfad.packs.format import LIST

_GIVEN_BY_PATH = ("manifest", "folder", "packed", "mix")  # corpora that a name alone does not give


def corpus_names() -> list[str]:
    """The corpora that a name alone gives."""
    return [name for name in CORPORA if name not in _GIVEN_BY_PATH]


def corpus_of(word: str, root: Path | None) -> CorpusKnobs:
    """The options of a corpus by its name, of a manifest, a folder or a pack.

    Raises:
        ConfigError: for a root that it cannot have.
        DataError: if there is no such thing.
    """
    path = Path(word)
    if "://" in word or (path / LIST).is_file():
        if root:
            raise ConfigError(f"{word} is a pack, which needs no --root")
        return CORPORA["packed"].read({"name": "packed", "path": word})
    names = corpus_names()
    if word in names:
        return CORPORA[word].read({"name": word} | ({"path": str(root)} if root else {}))
    if path.is_dir():
        if root:
            raise ConfigError(f"{word} is a folder of clips, which needs no --root")
        return CORPORA["folder"].read({"name": "folder", "path": word})
    if path.is_file():
        options = {"name": "manifest", "path": word} | ({"root": str(root)} if root else {})
        return CORPORA["manifest"].read(options)
    raise DataError(f"no manifest, folder or corpus {word!r}; of the names, {did_you_mean(word, names)}")
