"""What every corpus has: a reader from a root folder to a manifest, and how its clips are loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from dfad.audio import Limits
from dfad.clips import SPLITS, Label, Manifest
from dfad.corpora.hold_out import FORM, leave_out
from dfad.errors import DataError
from dfad.knobs import Free, Knobs

Progress = Callable[[int, int], None]  # (done, of all)
Counts = Mapping[str, tuple[int, int]]  # split → (bona fide, spoof)


class AbsentError(DataError):
    """There is nothing of a corpus at its path: nothing damaged, nothing half, nothing to choose from."""


def counts(manifest: Manifest) -> Counts:
    """How many bona fide and spoof clips each split has."""
    table = {split: np.bincount(manifest.labels[manifest.rows(split)], minlength=2) for split in SPLITS}
    return {split: (int(found[Label.BONA_FIDE]), int(found[Label.SPOOF])) for split, found in table.items()}


class CorpusKnobs(Knobs):
    """Options of a corpus, and of how clips are read from it."""

    name: str
    batch_size: int = Field(64, ge=1, description="clips per step, over all devices together")
    workers: Annotated[int | None, Free] = Field(
        None, ge=0, description="loader processes per device; null: up to 8 beside a GPU or for codecs, else none"
    )
    balance: Literal["loss", "sampler", "none"] = Field(
        "loss", description="weigh the classes alike in the loss, draw them alike, or leave them as they are"
    )
    on_error: Literal["raise", "skip"] = Field("raise", description="what to do about clips that cannot be used")
    max_bad_fraction: Annotated[float, Free] = Field(
        0.01, ge=0, le=1, description="more skipped than this fails the run"
    )
    max_duration_s: float = Field(3600.0, gt=0, description="longer clips are refused unread, s")
    scan: Annotated[bool, Free] = Field(True, description="decode every clip once before the first epoch")
    hold_out: str | None = Field(
        None, description="column:value: test on the clips of this group, train and validate on all others"
    )

    @model_validator(mode="after")
    def _skipping_needs_a_scan(self) -> CorpusKnobs:
        if self.on_error == "skip" and not self.scan:
            raise ValueError("on_error=skip needs scan=true: clips are skipped before training, on every device alike")
        return self

    @field_validator("hold_out")
    @classmethod
    def _names_a_column_and_a_value(cls, group: str | None) -> str | None:
        if group is not None and not all(group.partition(":")):
            raise ValueError(FORM)
        return group

    @property
    def limits(self) -> Limits:
        """What the decoder refuses."""
        return Limits(max_duration_s=self.max_duration_s)

    @property
    def published(self) -> Counts:
        """Clips of each split and class, as published; what is not known is left out."""
        return {}

    def manifest(self, progress: Progress | None = None) -> Manifest:
        """Read the corpus, and make the group that is held out its test set; `progress` is told of long work.

        Raises:
            DataError: if it is not there, or not what it should be.
            ConfigError: if there is no such group.
        """
        manifest = self.read_clips(progress)
        return leave_out(manifest, self.hold_out) if self.hold_out else manifest

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """Read the corpus with its own splits, as each corpus does in its own way.

        Raises:
            DataError: if it is not there, or not what it should be.
        """
        raise NotImplementedError
