"""Third parties told to keep to what a user can act on."""

from __future__ import annotations

import logging
import warnings
from typing import Any

CONSOLE_OPTIONS: dict[str, Any] = {
    "highlight": False,
    "soft_wrap": True,
    "emoji": False,
}  # the progress bar sets them anew
_TALKATIVE = ("lightning.pytorch", "lightning.fabric", "lightning", "lightning_utilities", "torch.distributed")
_IDLE_WARNINGS = (
    r".*does not have many workers.*",  # files are decoded faster than a CPU trains
    r".*Checkpoint directory .* exists and is not empty.*",  # it is our own run that goes on
    r".*The number of training batches .* is smaller than the logging interval.*",
    r".*You are using `torch.load` with `weights_only=.*",
    r".*LeafSpec.*",
    r".*module\(s\) in eval mode at the start of training.*",  # frozen blocks are meant to be
    r".*It is recommended to use `self.log\(.*, sync_dist=True\)`.*",  # our metrics gather by themselves
    r".*You're resuming from a checkpoint that ended before the epoch ended.*",
)


def hush() -> None:
    """Silence tips, banners and warnings that no user can act on; errors stay."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    for pattern in _IDLE_WARNINGS:
        warnings.filterwarnings("ignore", message=pattern)
