"""Stored scores are judged again under other options, whenever the process before was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dfad.errors import ConfigError
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.judging import judge, judged_with, stored_tables
from dfad.training.runs import Run
from dfad.training.scoring import SILENT
from tests.conftest import SMALL
from tests.test_config import composed


class Killed(BaseException):
    """As a signal would end the process."""


def test_a_kill_between_two_files_mixes_no_two_judgements(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(elsewhere)
    before, tables = run.read_config(), stored_tables(run)
    after = before.model_copy(update={"eval": before.eval.model_copy(update={"threshold": "fa@0.5"})})
    assert judged_with(run, before.eval)
    whole = Run.write_text
    for survivors in range(3):  # configuration, results, what is deployed
        left = survivors

        def write_text(self: Run, name: str, text: str) -> None:
            nonlocal left
            if not left:
                raise Killed
            left -= 1
            whole(self, name, text)

        monkeypatch.setattr(Run, "write_text", write_text)
        with pytest.raises(Killed):
            judge(run, tables, after, attacks=(), notes=(), screen=SILENT)
        monkeypatch.undo()
        assert run.finished  # nothing is trained again
        assert not judged_with(run, before.eval)
        assert not judged_with(run, after.eval)
        assert not (elsewhere / "report.html").exists()  # it shows the results before
    judge(run, tables, after, attacks=(), notes=(), screen=SILENT)
    assert judged_with(run, after.eval)
    assert run.read_config().eval == after.eval


@pytest.mark.parametrize("typed", ["eval.by=[atack]", "eval.cluster=atack"])
def test_a_column_that_is_not_there_leaves_a_finished_run_as_it_is(
    typed: str, elsewhere: Path, manifest_csv: Path
) -> None:
    def files() -> dict[str, Any]:
        names = ("config.yaml", "metrics.json", "deployed.json", "report.html")
        return {name: (elsewhere / name).read_bytes() for name in names}

    before = files()
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, f"runs={elsewhere.parent}", typed]
    with pytest.raises(ConfigError, match="did you mean 'attack'"):
        train(TrainConfig.read(composed("train", *words)), SILENT)
    assert files() == before
