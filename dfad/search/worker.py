"""A worker: one trial after the other, until as many are finished as should be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dfad.errors import DfadError
from dfad.search.process import Follow, KilledError, Result
from dfad.search.study import Claim, LostError, Progress, Study

Watch = Callable[..., Callable[[int, int], None]]  # as of training's Screen


@dataclass(frozen=True)
class Told:
    """How a trial ended.

    Attributes:
        claim: the trial.
        state: in a word.
        about: value, or reason.
    """

    claim: Claim
    state: str
    about: str


@dataclass(frozen=True)
class Worker:
    """What does trials of a study.

    Attributes:
        study: whose they are.
        configs: from the values of a trial to the configurations to train, one per seed, as plain values.
        train: trains one of them.
        say: is told of each trial that ends, and of waiting.
        watch: for a bar over the epochs of a trial.
    """

    study: Study
    configs: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]]
    train: Callable[[Mapping[str, Any], str, Follow], Result]
    say: Callable[[Told | Progress], None]
    watch: Watch
    poll_s: float = 2.0

    def __call__(self) -> None:
        """Work until the study is finished, by this worker or others.

        Raises:
            DfadError: if trials fail one after another, or the configuration as it stands does.
        """
        failed, waited = 0, False
        while True:
            claim = self.study.claim()
            if isinstance(claim, Progress):
                if claim.finished >= self.study.knobs.n_trials:
                    return
                if not waited:
                    self.say(claim)
                waited = True
                time.sleep(self.poll_s)
                continue
            waited = False
            told = self._do(claim)
            self.say(told)
            failed = {"failed": failed + 1, "killed": failed}.get(told.state, 0)
            if told.state == "failed" and failed >= self.study.knobs.failures:
                raise DfadError(f"{failed} trials failed one after another; the last: {told.about}")

    def _do(self, claim: Claim) -> Told:
        """Do a trial, and give how it ended."""
        try:
            with self.study.store.hold(claim.trial._trial_id):
                return self._try(claim)
        except LostError:
            return Told(claim, "lost", "another worker has it, as this one seemed dead")
        except BaseException:
            with suppress(LostError):
                self.study.leave(claim)
            raise

    def _try(self, claim: Claim) -> Told:
        bar = self.watch(f"trial {claim.trial.number}", "epochs")
        try:
            return self._train(claim, bar)
        except KilledError as killed:
            given_up = self.study.drop(claim)
            return Told(claim, "failed", given_up) if given_up else Told(claim, "killed", str(killed))
        except DfadError as error:
            self.study.refuse(claim, str(error))
            return Told(claim, "failed", str(error))
        finally:
            bar(1, 1)  # however it ended

    def _train(self, claim: Claim, bar: Callable[[int, int], None]) -> Told:
        values: list[float] = []
        runs: list[str] = []
        configs = self.configs(claim.marks)
        epochs = [config["trainer"]["max_epochs"] for config in configs]
        for number, config in enumerate(configs):
            before, best = sum(epochs[:number]), [float("inf")]

            def follow(epoch: int, value: float, asks: bool, before: int = before, best: list[float] = best) -> bool:
                # how it stands if it ended here: the best checkpoint so far, with the seeds before
                best[0] = min(best[0], value)
                bar(before + epoch + 1, sum(epochs))
                ends = claim.report(before + epoch, (sum(values) + best[0]) / (len(values) + 1))
                return ends and asks

            result = self.train(config, self.study.knobs.study, follow)
            runs.append(result.run)
            if result.value is None:
                self.study.finish(claim, values, runs, pruned=True)
                return Told(claim, "pruned", "")
            values.append(result.value)
        self.study.finish(claim, values, runs, pruned=False)
        return Told(claim, "complete", f"{sum(values) / len(values):.4f}")
