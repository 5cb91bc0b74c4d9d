"""What a run's training had of the clips that are scored now: the clips themselves, and their attacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from dfad.clips import Manifest
from dfad.corpora import CorpusKnobs, MixKnobs
from dfad.errors import DataError
from dfad.roots import Roots, address, places


@dataclass(frozen=True)
class Heard:
    """What training had.

    Attributes:
        clips: which rows of the manifest trained the detector, or chose it. Shape: (clips,) bool.
        attacks: those that training had, as `attack_names` calls them on these clips.
        note: why it cannot be told which clips; empty if it can.
    """

    clips: np.ndarray
    attacks: frozenset[str]
    note: str = ""


def heard(
    now: Manifest, data: CorpusKnobs, stored: CorpusKnobs | None, attacks: Collection[str], *, own: bool
) -> Heard:
    """Tell what of a manifest the training of a run had.

    Clips are the same if they lie at the same place. Only corpora of a kind that the run had are compared.

    Args:
        now: the clips.
        data: what they were read by.
        stored: what the run's clips were read by; None where there is no run.
        attacks: that training had, as the checkpoint tells.
        own: whether these are the very clips of the run.
    """
    if own:
        return Heard((now.frame["split"] != "test").to_numpy(bool), frozenset(attacks))

    def known(parts: Collection[str] = ()) -> frozenset[str]:
        return frozenset(_known(now, data, stored, attacks, parts)) or frozenset(attacks)  # that none is here is known

    none = np.zeros(len(now), bool)
    if stored is None or not _kinds(stored) & _kinds(data):
        return Heard(none, known())
    try:
        before = stored.manifest()
    except DataError as error:
        parts = tuple(part for part, kind in _parts(stored) if kind.name == data.name)
        reason = str(error).splitlines()[0]
        note = (
            f"whether clips that are scored here trained the detector is not known, as its own are not there: {reason}"
        )
        return Heard(none, known(parts), note)
    trained = before.frame.loc[before.frame["split"] != "test", "id"]
    clips = places(now.frame["id"], now.root).isin(places(trained, before.root)).to_numpy(bool)
    return Heard(clips, known(_at(before, now)))


def _known(
    now: Manifest, data: CorpusKnobs, stored: CorpusKnobs | None, attacks: Collection[str], parts: Collection[str]
) -> Iterator[str]:
    """Attacks that training had, as they are called on other clips; across corpora a name is all there is to go by.

    Args:
        now: the other clips.
        data: what they were read by.
        stored: what the run's clips were read by.
        attacks: by the name of the part, where the run had a mix.
        parts: of that mix, which are the corpus of the other clips.
    """
    mixes = isinstance(stored, MixKnobs), isinstance(data, MixKnobs)
    if not any(mixes):
        yield from attacks
        return
    had = [attack.partition("/")[::2] if mixes[0] else ("", attack) for attack in attacks]
    of_stored = {part for part, _ in _parts(stored)} if stored else set()
    for corpus in now.frame["corpus"].unique() if "corpus" in now.frame else [""]:
        same = ({corpus} & of_stored) if all(mixes) else parts
        names = {name for part, name in had if not same or part in same}
        yield from (f"{corpus}/{name}" if corpus else name for name in names)


def _at(before: Manifest, now: Manifest) -> tuple[str, ...]:
    """The parts of a mix that lie where a corpus lies."""
    if not isinstance(before.root, Roots) or isinstance(now.root, Roots):
        return ()
    here = address(now.root)
    return tuple(part for part, below in before.root.parts.items() if address(below) == here)


def _parts(data: CorpusKnobs) -> list[tuple[str, CorpusKnobs]]:
    return list(data.parts.items()) if isinstance(data, MixKnobs) else [("", data)]


def _kinds(data: CorpusKnobs) -> set[str]:
    return {kind.name for _, kind in _parts(data)}
