"""What the facts about a corpus' files say: which clips cannot be used, which sounds come twice, which voices too.

What makes results wrong is an error: clips that cannot be used, and a sound that is in two splits or in both classes.
What makes them weaker than they look is a warning: a sound twice in one split, speakers that splits share or that
nobody knows, silence, and a manifest that says something else than the files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfad.audio import shortness, too_short
from dfad.clips import Manifest
from dfad.corpora.base import Counts
from dfad.labels import SPLITS, Label

FACTS = ("sample_rate", "channels", "format", "subtype", "bytes", "sha256", "audio_hash")  # and duration_s
UNKNOWN_SPEAKERS = ("", "-", "?", "unknown", "none", "nan", "na", "n/a")


@dataclass(frozen=True)
class Findings:
    """All that is known of a corpus once its files have been looked at.

    Attributes:
        manifest: the clips that can be used, with `duration_s` and the columns of `FACTS` as they were measured.
        clips: how many the corpus lists.
        unusable: clips that cannot be used: `id`, `split`, `label`, `reason`.
        copies: clips whose sound comes more than once: `id`, `split`, `label`, `sha256`, the `group` of the same sound,
            and whether the group is in more than one split (`splits`) and in both classes (`classes`).
        shared: speakers in more than one split, and their clips in each; the index is the speaker.
        speakers: how many are known.
        unknown: clips whose speaker is not known.
        silent: clips that hold nothing but digital silence.
        differs: for each column of the manifest that says something else than the files, in how many clips.
        published: clips of each split and class that the corpus should have, as far as published.
        settled: whether all that makes results wrong has been left out of the manifest.
    """

    manifest: Manifest
    clips: int
    unusable: pd.DataFrame
    copies: pd.DataFrame
    shared: pd.DataFrame
    speakers: int
    unknown: int
    silent: int
    differs: dict[str, int]
    published: Counts
    settled: bool = False

    @property
    def errors(self) -> list[str]:
        """What makes results wrong, in words."""
        if self.settled:
            return []
        lines = []
        if self.left:
            lines.append(f"{self.left}, and not in the manifest")
        if groups := self.groups("classes"):
            lines.append(f"{_count(groups, 'sound')} in both classes: whatever a detector says of it is wrong once")
        if groups := self.groups("splits"):
            lines.append(f"{_count(groups, 'sound')} in more than one split: trained on, then chosen by or tested on")
        return lines

    @property
    def warnings(self) -> list[str]:
        """What makes results weaker than they look, in words."""
        lines = []
        if groups := self.groups(""):
            lines.append(
                f"{_count(groups, 'sound')} more than once in a split: it weighs more, intervals are too narrow"
            )
        if count := len(self.shared):
            lines.append(
                f"{count:,} of {_count(self.speakers, 'speaker')} in more than one split: these are no new voices"
            )
        if self.unknown:
            all_of = self.unknown == len(self.manifest)
            of = "any clip" if all_of else f"{self.unknown:,} of {_count(len(self.manifest), 'clip')}"
            lines.append(f"the speaker of {of} is not known, so whether splits share voices cannot be told")
        if self.silent:
            lines.append(f"{_count(self.silent, 'clip')} with nothing but digital silence")
        for name, count in self.differs.items():
            lines.append(
                f"{_count(count, 'clip')} with another {name} than the manifest says; the measured one is written"
            )
        return lines

    @property
    def notes(self) -> list[str]:
        """What the corpus itself has to say, and what was left out of the manifest, unless an error says so already."""
        return [note for note in self.manifest.notes if self.settled or note != self.left]

    @property
    def left(self) -> str:
        """That clips were left out, as the manifest notes it; empty if none were."""
        bad = len(self.unusable)
        return f"{bad:,} of {_count(self.clips, 'clip')} cannot be used" if bad else ""

    def groups(self, kind: str) -> int:
        """How many sounds come more than once: in two `splits`, in both `classes`, or elsewhere ("")."""
        serious = self.copies["splits"] | self.copies["classes"]
        chosen = self.copies[self.copies[kind] if kind else ~serious]
        return int(chosen["group"].nunique())

    def problems(self) -> pd.DataFrame:
        """Every clip with a problem, and which: `problem`, `path`, `split`, `label`, `reason`, `group`, `sha256`."""
        rows = [self.unusable.assign(problem="cannot be used")]
        words = {"classes": "same sound in both classes", "splits": "same sound in two splits"}
        rows += [self.copies[self.copies[kind]].assign(problem=word) for kind, word in words.items()]
        rest = self.copies[~(self.copies["splits"] | self.copies["classes"])]
        rows.append(rest.assign(problem="same sound twice in a split"))
        columns = ["problem", "id", "split", "label", "reason", "group", "sha256"]
        table = pd.concat([row.reindex(columns=columns) for row in rows if len(row)] or [pd.DataFrame(columns=columns)])
        table = table.astype({"group": "Int64"}).rename(columns={"id": "path"})
        return table.assign(label=[str(Label(label)) for label in table["label"]])

    def settle(self) -> Findings:
        """The same with a manifest without all that makes results wrong.

        Of a sound in two splits the clips of test stay, else those of val; of a sound in both classes none does.
        """
        rank = self.copies["split"].map({split: place for place, split in enumerate(SPLITS)})
        best = rank.groupby(self.copies["group"]).transform("max")
        drop = self.copies["id"][self.copies["classes"] | (self.copies["splits"] & (rank < best))]
        manifest = self.manifest
        if len(drop):
            note = f"{_count(len(drop), 'clip')} left out: the same sound is in another split or class, too"
            manifest = manifest.without(drop).noted(note)
        return replace(self, manifest=manifest, settled=True)


def findings(manifest: Manifest, facts: pd.DataFrame, published: Counts) -> Findings:
    """Hold a corpus against the facts about its files.

    Args:
        manifest: the clips that the corpus lists.
        facts: as `facts.look` gives them, in the same order.
        published: clips of each split and class that the corpus should have, as far as published.
    """
    seconds = (facts["frames"] / facts["sample_rate"]).to_numpy(float, na_value=np.nan)
    said = manifest.frame["duration_s"].to_numpy(float)
    short = {int(row): shortness(seconds[row], said[row]) for row in np.flatnonzero(too_short(seconds, said))}
    reasons = facts["reason"].where(~facts.index.isin(short), facts.index.map(short))
    frame = manifest.frame
    bad = (reasons != "").to_numpy(bool)
    measured = facts.rename(columns={"sound": "audio_hash"})[list(FACTS)].assign(duration_s=seconds)[~bad]
    measured = measured.astype({"sample_rate": np.int32, "channels": np.int32, "bytes": np.int64})
    kept = frame[~bad]
    columns = {str(name): values.array for name, values in measured.items()}
    result = manifest.having(kept.assign(**columns))
    speaker = kept["speaker"].where(~kept["speaker"].str.strip().str.lower().isin(UNKNOWN_SPEAKERS), "")
    found = Findings(
        manifest=result,
        clips=len(frame),
        unusable=frame.loc[bad, ["id", "split", "label"]].assign(reason=reasons[bad].to_numpy()),
        copies=_copies(result.frame),
        shared=_shared(speaker, kept["split"]),
        speakers=int(speaker[speaker != ""].nunique()),
        unknown=int((speaker == "").sum()),
        silent=int((result.frame["audio_hash"] == "").sum()),
        differs=_differs(kept, measured),
        published=published,
    )
    return replace(found, manifest=result.noted(found.left)) if found.left else found


def _count(number: int, thing: str) -> str:
    """A number of things.

    >>> _count(1, "sound"), _count(1200, "clip")
    ('1 sound', '1,200 clips')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _copies(frame: pd.DataFrame) -> pd.DataFrame:
    """Clips whose sound comes more than once, those of a sound together."""
    twice = frame["audio_hash"].duplicated(keep=False) & (frame["audio_hash"] != "")
    copies = frame.loc[twice, ["id", "split", "label", "sha256", "audio_hash"]]
    copies = copies.assign(group=copies.groupby("audio_hash", sort=False).ngroup() + 1).drop(columns="audio_hash")
    by = copies.groupby("group")
    copies = copies.assign(splits=by["split"].transform("nunique") > 1, classes=by["label"].transform("nunique") > 1)
    return copies.sort_values(["group", "id"], kind="stable").reset_index(drop=True)


def _shared(speaker: pd.Series, split: pd.Series) -> pd.DataFrame:
    """Clips by speaker and split, of the speakers that are in more than one."""
    known = (speaker != "").to_numpy()
    table = pd.crosstab(speaker[known], split[known]).reindex(columns=list(SPLITS), fill_value=0)
    table = table[(table > 0).sum(axis=1) > 1]
    return table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]


def _differs(said: pd.DataFrame, measured: pd.DataFrame) -> dict[str, int]:
    """How many clips have another value than the manifest says, for every column that it has."""
    found = {}
    for name in measured.columns.intersection(said.columns):
        new = measured[name].to_numpy()
        if measured[name].dtype.kind in "if":
            old = pd.to_numeric(said[name], errors="coerce").to_numpy(float)
            slack = np.maximum(0.05, 0.01 * old) if name == "duration_s" else 0.0
            count = int((np.abs(new - old) > slack).sum())
        else:
            count = int((said[name].to_numpy() != new).sum())
        if count:
            found[name] = count
    return found


def write(found: Findings, manifest: Path, problems: Path) -> None:
    """Write the manifest as Parquet, and the clips with problems as CSV; without any there is no such file.

    Raises:
        OSError: if they cannot be written.
    """
    part = manifest.with_name(f"{manifest.stem}.part.parquet")
    found.manifest.write(part)
    part.replace(manifest)
    table = found.problems()
    if table.empty:
        problems.unlink(missing_ok=True)
    else:
        table.to_csv(problems, index=False)
