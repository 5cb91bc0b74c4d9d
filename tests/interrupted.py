"""`train.py` that signals itself as it works, once: `python -m tests.interrupted SIGNAL:WHERE:EPOCH:BATCH:RANK …`.

WHERE is `training` or `validation`, EPOCH counts from 0; the signal comes while that batch is at work on that rank, to
its loader processes too, as a scheduler sends it. A file in the working folder keeps it from coming again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from dfad.commands import train
from dfad.training.detectors import Detector


def main() -> None:
    """Run the command."""
    spec = sys.argv.pop(1)
    name, where, *at = spec.split(":")
    alone = "RANK" in os.environ  # below torchrun it must not change its group
    marker = Path(spec.replace(":", "-"))
    step = getattr(Detector, f"{where}_step")
    if not alone:
        os.setpgid(0, 0)

    def interrupted(self: Detector, clips: Any, index: int) -> Any:
        if [self.current_epoch, index, self.global_rank] == [int(number) for number in at] and not marker.exists():
            marker.touch()
            number = getattr(signal, name)
            whom = os.getpid() if alone else -os.getpgid(0)
            subprocess.run(["kill", f"-{number}", "--", str(whom)], start_new_session=True)  # by another, as it is
        return step(self, clips, index)

    setattr(Detector, f"{where}_step", interrupted)
    train.main()


if __name__ == "__main__":
    main()
