"""A search on the screen: each trial as it ends, and what the study found."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from dfad.commands.again import train_words
from dfad.commands.results import show_table
from dfad.corpora.check import fingerprint
from dfad.errors import DfadError
from dfad.report.search import table, write
from dfad.report.tried import FINISHED, METRIC, Tried, option_cell, ranked, value_cell
from dfad.search.options import SweepKnobs
from dfad.search.process import train_apart
from dfad.search.space import Space
from dfad.search.storage import open_store
from dfad.search.study import Progress, Study
from dfad.search.worker import Told, Worker
from dfad.training.config import TrainConfig
from dfad.training.scoring import Screen
from dfad.training.together import require_hosts
from dfad.training.trainer import accelerator_of

STUDIES = ".studies"  # in the folder of runs
_SHOWN = 10  # trials of the table


@dataclass(frozen=True)
class Searcher:
    """Works on a study, and shows it.

    Attributes:
        knobs: of the search.
        space: what varies.
        base: what it begins with.
        configs: from the values of a trial to its configurations, one per seed.
        screen: where it tells how it goes.
    """

    knobs: SweepKnobs
    space: Space
    base: TrainConfig
    configs: Callable[[Mapping[str, Any]], Sequence[TrainConfig]]
    screen: Screen

    def search(self, first: Mapping[str, Any] | None) -> None:
        """Work until all trials are finished.

        Args:
            first: the values of the configuration as it stands, if the study begins with it.

        Raises:
            DfadError: for anything that a user can put right.
        """
        accelerator_of(self.base.trainer)
        require_hosts(self.base.trainer)
        data = self.base.data
        manifest = data.manifest(self.screen.watch(f"making {data.name}"))
        clips = fingerprint(manifest, self.screen.watch("looking at clips"))
        folder = self.base.runs / STUDIES / self.knobs.study
        store = open_store(self.knobs.storage, folder, self.knobs.heartbeat_s)
        try:
            study = Study(
                self.knobs,
                self.space,
                store,
                about={**self.base.identity(), "seeds": self.knobs.seeds, "clips": clips},
                first=first,
                seed=self.base.seed,
                steps=self.knobs.seeds * self.base.trainer.max_epochs,
            )
            self._greet(study)
            worker = Worker(
                study,
                lambda marks: [config.plain() for config in self.configs(marks)],
                train_apart,
                lambda told: self._tell(study, told),
                self.screen.watch,
            )
            worker()
            self._show(study, folder)
        finally:
            store.close()

    def _greet(self, study: Study) -> None:
        finished = _finished(study.tried())
        say = self.screen.say
        say(f"study [bold]{escape(self.knobs.study)}[/]: {finished} of {self.knobs.n_trials} trials finished")
        if not finished:
            for key, part in self.space.items():
                say(f"  {escape(key)}: {escape(str(part))}")

    def _tell(self, study: Study, told: Told | Progress) -> None:
        if isinstance(told, Progress):
            self.screen.say(f"waiting for {told.running} of other workers; if one dies, this one takes over")
            return
        trials = study.tried()
        best = ranked(trials)[:1]
        shown = "  ".join(f"{key}={option_cell(value)}" for key, value in told.claim.marks.items())
        value = f" {METRIC} {told.about}" if told.state == "complete" else f" {told.about}".rstrip()
        line = f"[{_finished(trials)}/{self.knobs.n_trials}] trial {told.claim.trial.number} {told.state}{value}"
        end = f"  (best {best[0].value:.4f})" if best else ""
        self.screen.say(f"{escape(line)}{end}  {escape(shown)}")

    def _show(self, study: Study, folder: Path) -> None:
        trials = study.tried()
        best = ranked(trials)
        if not best:
            raise DfadError("no trial is complete: every one was pruned; more trials, or pruner=none")
        top = best[0]
        config = self.configs(top.options)[0]
        command = shlex.join(["python", "train.py", *train_words(config)])
        page = write(folder, self.knobs.study, trials, study.importances(), command)
        kept = best[:_SHOWN]
        kept += [trial for trial in best[_SHOWN:] if trial.default]
        header, rows = table(kept)
        show_table(header, rows)
        say = self.screen.say
        if len(best) > len(kept):
            say(f"… and {len(best) - len(kept)} more in {escape(str(folder / 'trials.csv'))}")
        say(f"best: trial {top.number}, {METRIC} {value_cell(top)}")
        for run in top.runs:
            say(f"run {escape(run)}")
        say(f"again: {escape(command)}")
        say(f"report {escape(str(page))}")


def _finished(trials: Sequence[Tried]) -> int:
    return sum(trial.state in FINISHED for trial in trials)
