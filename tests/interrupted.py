"""`train.py` that sends itself a signal while it works: `python -m tests.interrupted SIGNAL WHERE EPOCH BATCH …`.

WHERE is `train` or `validation`, EPOCH counts from 0; the signal comes while that batch is at work.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from dfad.commands import train
from dfad.training.detectors import Detector


def main() -> None:
    """Run the command."""
    number, (where, epoch, batch) = getattr(signal, sys.argv[1]), sys.argv[2:5]
    sys.argv[1:5] = []
    step = getattr(Detector, name := {"train": "training_step", "validation": "validation_step"}[where])

    def interrupted(self: Detector, clips: Any, index: int) -> Any:
        if (self.current_epoch, index) == (int(epoch), int(batch)) and self.global_rank == 0:
            os.kill(os.getpid(), number)
        return step(self, clips, index)

    setattr(Detector, name, interrupted)
    train.main()


if __name__ == "__main__":
    main()
