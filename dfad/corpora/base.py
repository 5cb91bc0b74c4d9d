"""What every corpus has: a reader from a root folder to a manifest, and how its clips are loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dfad.audio import Limits
from dfad.clips import Manifest
from dfad.knobs import Free, Knobs

Progress = Callable[[int, int], None]  # (done, of all)


class CorpusKnobs(Knobs):
    """Options of a corpus, and of how clips are read from it."""

    name: str
    batch_size: int = Field(64, ge=1, description="clips per step, over all devices together")
    workers: Annotated[int | None, Free] = Field(
        None, ge=0, description="loader processes per device; null: none on a CPU, up to 8 beside a GPU"
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

    @model_validator(mode="after")
    def _skipping_needs_a_scan(self) -> CorpusKnobs:
        if self.on_error == "skip" and not self.scan:
            raise ValueError("on_error=skip needs scan=true: clips are skipped before training, on every device alike")
        return self

    @property
    def limits(self) -> Limits:
        """What the decoder refuses."""
        return Limits(max_duration_s=self.max_duration_s)

    def manifest(self, progress: Progress | None = None) -> Manifest:
        """Read the corpus; `progress` is told of work that takes a while.

        Raises:
            DataError: if it is not there, or not what it should be.
        """
        raise NotImplementedError
