"""Studies: every trial is finished once, whoever does it and whoever dies; real processes, a formula for a training."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from dfad.errors import ConfigError, DfadError, RunError
from dfad.report.tried import FINISHED, Tried, ranked
from dfad.search.process import KilledError
from dfad.search.space import Interval
from dfad.search.study import Claim, Progress, Study
from tests.conftest import ROOT, environment
from tests.searching import FIRST, SPACE, study_in, value_of, worker_of


def start(folder: Path, storage: str, count: int, seconds: float = 0.2) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.searching", str(folder), storage, str(count), str(seconds)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finished(study: Study) -> list[Tried]:
    return [trial for trial in study.tried() if trial.state in FINISHED]


def wait_for(study: Study, count: int) -> None:
    while len(finished(study)) < count:
        time.sleep(0.05)


def of_optuna(study: Study, state: str) -> int:
    return sum(trial.state.name == state for trial in study.optuna.get_trials())


@pytest.mark.parametrize("storage", ["-", "sqlite"])
def test_workers_that_are_killed_leave_nothing_lost_or_done_twice(storage: str, tmp_path: Path) -> None:
    where = f"sqlite:///{tmp_path}/studies.db" if storage == "sqlite" else "-"
    first, second = (start(tmp_path, where, 12) for _ in range(2))
    study = study_in(tmp_path, None if where == "-" else where, n_trials=12)
    wait_for(study, 2)
    first.kill()  # and the other goes on
    wait_for(study, 5)
    second.kill()  # nobody is left
    workers = [start(tmp_path, where, 12) for _ in range(2)]
    said = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    trials = study.tried()
    assert [trial.state for trial in trials if trial.state not in FINISHED] == []
    assert len(trials) == 12
    assert of_optuna(study, "RUNNING") == of_optuna(study, "WAITING") == 0
    assert of_optuna(study, "COMPLETE") + of_optuna(study, "PRUNED") == 12
    assert len({tuple(trial.options.values()) for trial in trials}) == 12  # none drawn twice
    assert trials[0].default
    assert ranked(trials)[0].value <= value_of(FIRST)  # type: ignore[operator]
    study.store.close()


def test_one_worker_finds_the_same_trials_after_a_kill(tmp_path: Path) -> None:
    whole = study_in(tmp_path / "whole", n_trials=14)
    worker_of(whole)()
    killed = study_in(tmp_path / "killed", n_trials=14)
    left: list[Claim] = []

    def train(*_: Any) -> Any:
        raise KeyboardInterrupt

    for n_trials in (3, 12):
        part = study_in(tmp_path / "killed", n_trials=n_trials)
        worker_of(part)()
        claim = killed.claim()  # by a worker that dies: its lock opens
        assert isinstance(claim, Claim)
        left.append(claim)
        killed.store.close()
        killed = study_in(tmp_path / "killed", n_trials=14)
        with pytest.raises(KeyboardInterrupt):
            worker_of(killed, train=train)()
    worker_of(killed)()
    assert [(t.options, t.value, t.state) for t in whole.tried()] == [
        (t.options, t.value, t.state) for t in killed.tried()
    ]
    assert [claim.slot for claim in left] == [3, 12]


def test_more_trials_later_and_never_more_than_asked_for(tmp_path: Path) -> None:
    for count, expected in ((3, 3), (5, 5), (4, 5)):
        study = study_in(tmp_path, n_trials=count)
        worker_of(study)()
        assert len(study.tried()) == expected


def test_a_worker_without_a_trial_waits_for_the_others(tmp_path: Path) -> None:
    one, other = study_in(tmp_path, n_trials=1), study_in(tmp_path, n_trials=1)
    claim = one.claim()
    assert isinstance(claim, Claim)
    assert other.claim() == Progress(finished=0, running=1)
    one.finish(claim, [0.5], ["run"], pruned=False)
    assert other.claim() == Progress(finished=1, running=0)


def test_a_silent_worker_of_a_database_loses_its_trial(tmp_path: Path) -> None:
    where = f"sqlite:///{tmp_path}/studies.db"
    silent, other = study_in(tmp_path, where, n_trials=2), study_in(tmp_path, where, n_trials=2)
    claim = silent.claim()
    assert isinstance(claim, Claim)
    taken = other.claim()
    while not isinstance(taken, Claim) or taken.slot != claim.slot:  # four signs of life are missing then
        if isinstance(taken, Claim):
            other.finish(taken, [3.0], ["run"], pruned=False)
        time.sleep(0.2)
        taken = other.claim()
    assert taken.marks == claim.marks
    other.finish(taken, [1.0], ["run"], pruned=False)
    assert worker_of(silent)._do(claim).state == "lost"
    assert [trial.value for trial in other.tried()] == [1.0, 3.0]


def test_seeds_are_averaged_and_pruned_ones_count(tmp_path: Path) -> None:
    study = study_in(tmp_path, n_trials=12, seeds=3, spare_trials=2, spare_epochs=1)
    worker_of(study)()
    first, *others = study.tried()
    assert first.values == (value_of(FIRST), value_of(FIRST) + 1, value_of(FIRST) + 2)
    assert first.value == value_of(FIRST) + 1
    assert first.runs == ("run-0", "run-1", "run-2")
    assert first.state == "complete"  # the configuration as it stands is never pruned
    pruned = [trial for trial in others if trial.state == "pruned"]
    assert pruned
    assert len(finished(study)) == 12
    assert all(len(trial.steps) < len(first.steps) for trial in pruned)


def test_the_best_comes_near_the_best_there_is(tmp_path: Path) -> None:
    study = study_in(tmp_path, n_trials=40, pruner="none")
    worker_of(study)()
    best = ranked(study.tried())[0]
    assert best.options["kind"] == "a"
    assert float(best.value or 9) < 0.05
    shares = study.importances()
    assert set(shares) == {"x", "kind"}
    assert abs(sum(shares.values()) - 1) < 1e-9


@pytest.mark.parametrize("change", [{"about": {"model": {"lr": 2}}}, {"space": {"x": SPACE["x"]}, "first": {"x": 1.0}}])
def test_a_study_of_something_else_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    study_in(tmp_path)
    with pytest.raises(
        ConfigError, match=r"study=toy was begun otherwise: (model.lr=1, now 2|space.kind=a, b, now nothing)\n"
    ):
        study_in(tmp_path, **change)


def fails(reason: str, kind: type[Exception] = ConfigError) -> Any:
    def train(*_: Any) -> Any:
        raise kind(reason)

    return train


def test_a_configuration_that_cannot_be_ends_the_study_and_may_be_mended(tmp_path: Path) -> None:
    study = study_in(tmp_path, n_trials=2)
    with pytest.raises(RunError, match="the configuration as it stands failed: no such file"):
        worker_of(study, train=fails("no such file"))()
    again = study_in(tmp_path, n_trials=2)
    worker_of(again)()
    assert [trial.state for trial in again.tried()] == ["complete", "complete"]


def test_trials_that_fail_one_after_another_end_the_command_not_the_study(tmp_path: Path) -> None:
    study = study_in(tmp_path, n_trials=3, first=None, default=False, failures=2)
    with pytest.raises(DfadError, match="2 trials failed one after another; the last: too large"):
        worker_of(study, train=fails("too large"))()
    worker_of(study)()
    trials = study.tried()
    assert [trial.state for trial in trials] == ["failed", "failed", "complete", "complete", "complete"]
    assert trials[0].error == "too large"


def test_a_trial_that_kills_its_process_is_not_given_for_ever(tmp_path: Path) -> None:
    study = study_in(tmp_path, n_trials=2)
    with pytest.raises(RunError, match="was killed 5 times"):
        worker_of(study, train=fails("by SIGKILL", KilledError))()
    assert of_optuna(study, "FAIL") == 5


def test_trials_that_all_kill_their_process_end_the_command(tmp_path: Path) -> None:
    study = study_in(tmp_path, n_trials=9, first=None, failures=2)
    with pytest.raises(DfadError, match="2 trials failed one after another; the last: its process"):
        worker_of(study, train=fails("by SIGKILL", KilledError))()
    assert of_optuna(study, "FAIL") == 10


def test_a_journal_with_half_a_line_is_mended(tmp_path: Path) -> None:
    study = study_in(tmp_path, n_trials=2)
    worker_of(study)()
    journal = tmp_path / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 5, "worker')  # its writer was killed there
    again = study_in(tmp_path, n_trials=4)
    worker_of(again)()
    assert len(finished(again)) == 4
    assert journal.read_bytes().startswith(whole)


def test_optunas_own_reader_sees_the_study(tmp_path: Path) -> None:
    study = study_in(tmp_path, n_trials=3)
    worker_of(study)()
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log")))
    read = optuna.load_study(study_name="toy", storage=storage)
    assert len(read.trials) == 3
    assert read.direction == optuna.study.StudyDirection.MINIMIZE


@pytest.mark.parametrize("url", ["oracle://x/y", "nonsense://x", "sqlite:////proc/none/x.db"])
def test_a_storage_that_cannot_be_is_an_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="storage="):
        study_in(tmp_path, url)


def test_whole_numbers_and_steps(tmp_path: Path) -> None:
    space = {"n": Interval(1, 9, whole=True, step=2), "y": Interval(0.0, 0.6, step=0.1)}
    study = study_in(tmp_path, space=space, first={"n": 3, "y": 0.2}, n_trials=6)
    seen = [study.claim() for _ in range(6)]
    assert all(isinstance(claim, Claim) and claim.marks["n"] in (1, 3, 5, 7, 9) for claim in seen)


def test_hyperband_ends_trials_and_the_total_holds(tmp_path: Path) -> None:
    study = study_in(tmp_path, n_trials=15, pruner="hyperband", spare_epochs=1, sampler="random")
    worker_of(study)()
    states = [trial.state for trial in study.tried()]
    assert len(states) == len(finished(study)) == 15
    assert states[0] == "complete"
    assert "pruned" in states
