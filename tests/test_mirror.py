"""The mirror tells a dashboard all that a run folder holds, and no training ends because of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dfad.commands.jobs import isolated
from dfad.errors import ConfigError
from dfad.training.board_tensorboard import TensorboardBoard
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.mirror import HeardClip, Mirror
from dfad.training.runs import Run
from dfad.training.scoring import SILENT
from tests.conftest import SMALL
from tests.test_config import composed


class Broken:
    """A dashboard that fails at one place."""

    name, clips = "broken", 0

    def __init__(self, place: str, error: Exception) -> None:
        self.place, self.error = place, error
        self.rows: list[float] = []
        self.closed: list[bool] = []

    def reach(self, place: str) -> None:
        if place == self.place:
            raise self.error

    def key(self, run: Run) -> str:
        return run.folder.name

    def open(self, run: Run, *, goes_on: bool) -> None:
        self.reach("open")

    def row(self, values: Mapping[str, float]) -> None:
        if values["epoch"] == 1:
            self.reach("row")
        self.rows.append(values["epoch"])

    def results(self, run: Run, clips: Sequence[HeardClip]) -> None:
        self.reach("results")

    def close(self, *, failed: bool) -> str:
        self.closed.append(failed)
        self.reach("close")
        return "here"


def test_a_training_goes_on_when_its_dashboard_fails(manifest_csv: Path, tmp_path: Path) -> None:
    board, said = Broken("row", RuntimeError("[no] more\nat line 5")), []
    typed = ["data=manifest", f"data.path={manifest_csv}", *SMALL, f"runs={tmp_path / 'runs'}"]
    config = TrainConfig.read(composed("train", *typed))
    with isolated(), Mirror(board, said.append) as mirror:
        done = train(config, SILENT, [mirror])
        mirror.finish(done.run, lambda: [])
    assert done.run.finished
    assert board.rows == [0]
    assert board.closed == [True]  # it is not all there
    (note,) = said
    assert "the dashboard stopped: RuntimeError: \\[no] more; the run goes on without" in note
    assert done.run.read_json("broken.json")["complete"] is False

    mended = Broken("", RuntimeError())
    with Mirror(mended, said.append) as mirror:  # the same command, later
        mirror.finish(done.run, lambda: [])
    assert mended.rows == [0, 1, 2, 3]
    assert said[1:] == ["dashboard here"]


@pytest.mark.parametrize("place", ["open", "row", "results", "close"])
def test_a_dashboard_that_fails_is_told_in_a_line(place: str, elsewhere: Path) -> None:
    said: list[str] = []
    with Mirror(Broken(place, OSError("gone")), said.append) as mirror:
        mirror.finish(Run(elsewhere), lambda: [])
    assert len(said) == 1
    assert "the dashboard stopped: OSError: gone" in said[0]
    assert not (Run(elsewhere).read_json("broken.json") or {}).get("complete")


def test_results_that_were_judged_anew_are_shown_once_more(elsewhere: Path) -> None:
    said: list[str] = []

    def mirrored() -> int:
        board = Broken("", RuntimeError())
        with Mirror(board, said.append) as mirror:
            mirror.finish(Run(elsewhere), lambda: [])
        return len(board.closed)

    assert [mirrored(), mirrored()] == [1, 0]
    results = Run(elsewhere).read_json("metrics.json")
    Run(elsewhere).write_json("metrics.json", {**results, "threshold": 0.25})
    assert [mirrored(), mirrored()] == [1, 0]
    assert said == ["dashboard here"] * 4


def test_what_a_user_can_put_right_ends_the_run(elsewhere: Path) -> None:
    with pytest.raises(ConfigError), Mirror(Broken("open", ConfigError("no")), print) as mirror:
        mirror.finish(Run(elsewhere), lambda: [])


def test_tensorboard_shows_epochs_results_and_figures(elsewhere: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    said: list[str] = []
    for _ in range(2):  # the second time nothing is left to do
        with Mirror(TensorboardBoard(), said.append) as mirror:
            mirror.finish(Run(elsewhere), lambda: [])
    assert said == [f"dashboard tensorboard --logdir {elsewhere / 'tensorboard'}"] * 2
    (path,) = (elsewhere / "tensorboard").iterdir()
    events = EventAccumulator(str(path)).Reload()
    head, *lines = (elsewhere / "curves.csv").read_text().splitlines()
    for number, name in enumerate(head.split(",")):
        if name not in ("epoch", "step"):
            shown = {event.step: event.value for event in events.Scalars(name)}
            values = [float(line.split(",")[number]) for line in lines]
            assert shown == pytest.approx(dict(enumerate(values))), name
    assert events.Scalars("test/eer")
    figures = {f"figures/{path.stem}" for path in (elsewhere / "figures").glob("*.png")}
    assert set(events.Tags()["images"]) == figures >= {"figures/confusion_oracle", "figures/det"}


def test_results_of_other_options_are_shown_anew(elsewhere: Path) -> None:
    run, said, sent = Run(elsewhere), list[str](), list[int]()
    for bound in (10, 10, 20):
        results = run.read_json("metrics.json")
        results["options"]["resamples"] = bound
        run.write_json("metrics.json", results)
        with Mirror(Broken("", RuntimeError()), said.append) as mirror:
            mirror.finish(run, lambda bound=bound: sent.append(bound) or [])  # type: ignore[misc]
    assert sent == [10, 20]
    assert said == ["dashboard here"] * 3
