"""A worker whose training is a formula: `python -m tests.searching FOLDER STORAGE N_TRIALS [SECONDS]`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfad.errors import DfadError
from dfad.search.options import SweepKnobs
from dfad.search.process import Follow, Result
from dfad.search.space import Choice, Interval, Space
from dfad.search.storage import open_store
from dfad.search.study import Study
from dfad.search.worker import Worker

SPACE: Space = {"x": Interval(-2.0, 2.0), "kind": Choice(("a", "b"), ("a", "b"))}
FIRST = {"x": 1.0, "kind": "b"}
EPOCHS = 4


def value_of(marks: Mapping[str, Any]) -> float:
    return float(marks["x"]) ** 2 + (marks["kind"] == "b")


def study_in(folder: Path, storage: str | None = None, **more: Any) -> Study:
    """Open the study, as a command does."""
    space = more.pop("space", SPACE)
    about, first, seed = more.pop("about", {"model": {"lr": 1}}), more.pop("first", FIRST), more.pop("seed", 0)
    knobs = SweepKnobs.read({"study": "toy", "heartbeat_s": 1, **more})
    return Study(
        knobs, space, open_store(storage, folder, 1), about=about, first=first, seed=seed, steps=EPOCHS * knobs.seeds
    )


def worker_of(study: Study, seconds: float = 0.0, **more: Any) -> Worker:
    """A worker whose trials last so long."""
    told: list[Any] = more.pop("told", [])

    def configs(marks: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{"marks": marks, "seed": seed, "trainer": {"max_epochs": EPOCHS}} for seed in range(study.knobs.seeds)]

    def train(config: Mapping[str, Any], name: str, follow: Follow) -> Result:
        for epoch in range(EPOCHS):
            time.sleep(seconds / EPOCHS)
            if follow(epoch, value_of(config["marks"]) + EPOCHS - epoch, epoch < EPOCHS - 1):
                return Result(f"run-{config['seed']}", None)
        return Result(f"run-{config['seed']}", value_of(config["marks"]) + config["seed"])

    return Worker(
        study, configs, more.get("train", train), told.append, lambda *task: lambda done, total: None, poll_s=0.1
    )


if __name__ == "__main__":
    folder, storage, count, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    here = study_in(folder, None if storage == "-" else storage, n_trials=count)
    print("ready", flush=True)
    try:
        worker_of(here, seconds)()
    except DfadError as error:
        sys.exit(str(error))
    finally:
        here.store.close()
