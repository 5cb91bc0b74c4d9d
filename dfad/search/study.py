"""A study: its trials dealt out exactly once each, whatever dies, by the record that Optuna keeps.

A trial that is to be finished is a slot. Whoever has it may die; then that attempt is failed, and another attempt at
the slot waits with the same values. So every claim is decided by what is written, under a lock; nobody has to remember.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from dfad.errors import ConfigError, RunError
from dfad.report.tried import FAILED, Tried
from dfad.search.dealing import distribution, pruner, sampler
from dfad.search.options import SweepKnobs
from dfad.search.space import Marks, Space
from dfad.search.storage import WORKER, Store

_SLOT, _ERROR, _LEFT = "slot", "error", "left"  # attributes of an attempt: left, if its worker took leave of it
_VALUES, _RUNS = "values", "runs"  # per seed
_ABOUT = "dfad"  # attribute of the study
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_FEW = 4  # complete trials, of which nothing can be said about importance
_WASTED = 5  # attempts without an epoch more, after which a slot is what kills its workers


class LostError(Exception):
    """The trial was given to another worker, as this one seemed to be dead."""


@dataclass
class Claim:
    """A trial that this worker has.

    Attributes:
        trial: of Optuna.
        slot: which of the study's; 0 is the configuration as it stands, if the study begins with it.
        marks: its values.
        prunable: whether it may be ended early.
    """

    trial: optuna.Trial
    slot: int
    marks: Marks
    prunable: bool

    def report(self, step: int, value: float) -> bool:
        """Write down how the trial stands; gives whether it should end here.

        Raises:
            LostError: if it is this worker's no more.
        """
        try:
            self.trial.report(value if math.isfinite(value) else math.inf, step)
            return self.prunable and self.trial.should_prune()
        except optuna.exceptions.UpdateFinishedTrialError:
            raise LostError from None


@dataclass(frozen=True)
class Progress:
    """How many trials are finished, and how many others work on."""

    finished: int
    running: int


class Study:
    """A study in its storage.

    Args:
        knobs: of the search.
        space: what varies.
        store: where the study lies.
        about: what must not change while it is searched, by keys that a person understands.
        first: the values of the configuration as it stands; None: it does not begin with that.
        seed: of the sampler.
        steps: the most that a trial reports.

    Raises:
        ConfigError: if there is such a study about something else.
    """

    def __init__(
        self,
        knobs: SweepKnobs,
        space: Space,
        store: Store,
        *,
        about: Mapping[str, Any],
        first: Marks | None,
        seed: int,
        steps: int,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.knobs, self.store, self.first, self.seed = knobs, store, first, seed
        self.distributions = {key: distribution(part) for key, part in space.items()}
        with store.claiming():
            try:
                self.optuna = optuna.load_study(study_name=knobs.study, storage=store.storage)
            except KeyError:
                self.optuna = optuna.create_study(study_name=knobs.study, storage=store.storage, direction="minimize")
            self.optuna.pruner = pruner(knobs, steps)
            varies = {key: str(part) for key, part in space.items()}
            if differences := self._differences({**about, "space": varies, "default": first is not None}):
                raise ConfigError(
                    f"study={knobs.study} was begun otherwise: {'; '.join(differences)}\n"
                    "type what it was begun with, or give another name, study=…"
                )
            attempts = self._slots().get(0)
            if first is not None and (attempts is None or _refused(attempts)):
                self.optuna.enqueue_trial(dict(first), {_SLOT: 0})  # one that failed may have been mended since

    def claim(self) -> Claim | Progress:
        """Take the next trial; or say how it stands, if there is none to take now.

        Raises:
            RunError: if the configuration as it stands failed.
        """
        with self.store.claiming():
            self.store.fail_dead(self.optuna)
            slots = self._give_again()
            last = [attempts[-1] for attempts in slots.values()]
            finished = sum(trial.state in _FINISHED for trial in last)
            running = sum(trial.state == TrialState.RUNNING for trial in last)
            if self.first is not None and (reason := _refused(slots[0])):
                raise RunError(f"the configuration as it stands failed: {reason}")
            if finished + running >= self.knobs.n_trials:
                return Progress(finished, running)
            slot = max(slots, default=-1) + 1
            self.optuna.sampler = sampler(self.knobs.sampler, self.seed, slot)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # signs of life are ours to give, as Optuna reminds us
                trial = self.optuna.ask(self.distributions)
            with self.store.hold(trial._trial_id):
                slot = trial.user_attrs.get(_SLOT, slot)
                trial.set_user_attr(_SLOT, slot)
                trial.set_user_attr(WORKER, self.store.worker)  # from here on it is given again if this process dies
        return Claim(trial, slot, dict(trial.params), prunable=slot > 0 or self.first is None)

    def finish(self, claim: Claim, values: list[float], runs: list[str], *, pruned: bool) -> None:
        """Write down what came out of a trial.

        Raises:
            LostError: if another worker has it.
        """
        state = TrialState.PRUNED if pruned else TrialState.COMPLETE
        self._tell(claim, state, None if pruned else sum(values) / len(values), **{_VALUES: values, _RUNS: runs})

    def refuse(self, claim: Claim, reason: str) -> None:
        """Write down why a trial cannot be."""
        self._tell(claim, TrialState.FAIL, None, **{_ERROR: reason})

    def drop(self, claim: Claim) -> str | None:
        """Fail an attempt whose process was killed: the trial is given again; or say why it is not, at last."""
        self._tell(claim, TrialState.FAIL, None)
        return _refused(self._slots()[claim.slot])

    def leave(self, claim: Claim) -> None:
        """Give a trial back, that others go on with it."""
        self._tell(claim, TrialState.FAIL, None, **{_LEFT: True})

    def tried(self) -> list[Tried]:
        """Every trial with its last attempt, in the order in which they were claimed first."""
        found = []
        for slot, attempts in sorted(self._slots().items()):
            last = attempts[-1]
            error = _refused(attempts)
            state = FAILED if error else "waiting" if last.state == TrialState.FAIL else last.state.name.lower()
            steps = {step: value for step, value in last.intermediate_values.items() if math.isfinite(value)}
            found.append(
                Tried(
                    number=last.number,
                    default=slot == 0 and self.first is not None,
                    state=state,
                    options=last.params or last.system_attrs.get("fixed_params", {}),
                    value=last.value if last.state in _FINISHED else None,
                    values=tuple(last.user_attrs.get(_VALUES, ())),
                    runs=tuple(last.user_attrs.get(_RUNS, ())),
                    steps=steps,
                    error=error,
                )
            )
        return found

    def importances(self) -> dict[str, float]:
        """What share of the spread of complete trials each option explains, by fANOVA (Hutter et al., 2014).

        Returns:
            By option, the largest first; nothing where there are too few trials, or they do not differ.
        """
        complete = self.optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < _FEW or len({trial.value for trial in complete}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return dict(optuna.importance.get_param_importances(self.optuna, evaluator=evaluator))

    def _tell(self, claim: Claim, state: TrialState, value: float | None, **attributes: Any) -> None:
        try:
            for name, content in attributes.items():
                claim.trial.set_user_attr(name, content)
        except optuna.exceptions.UpdateFinishedTrialError:
            raise LostError from None
        if self.optuna.tell(claim.trial, value, state, skip_if_finished=True).state != state:
            raise LostError

    def _slots(self) -> dict[int, list[FrozenTrial]]:
        """The attempts at each slot, in their order; one that died before it had a slot never was."""
        slots: dict[int, list[FrozenTrial]] = {}
        for trial in self.optuna.get_trials(deepcopy=False):
            if _SLOT in trial.user_attrs:
                slots.setdefault(trial.user_attrs[_SLOT], []).append(trial)
        return slots

    def _give_again(self) -> dict[int, list[FrozenTrial]]:
        """Enqueue another attempt at each slot whose last one was lost."""
        for slot, attempts in self._slots().items():
            last = attempts[-1]
            if last.state == TrialState.FAIL and not _refused(attempts):
                values = last.system_attrs.get("fixed_params") or last.params
                self.optuna.enqueue_trial(values, {_SLOT: slot})
        return self._slots()

    def _differences(self, about: Mapping[str, Any]) -> list[str]:
        """Store what the study is about, or say what differs from what is stored."""
        known = self.optuna.user_attrs.get(_ABOUT)
        if known is None:
            self.optuna.set_user_attr(_ABOUT, dict(about))
            return []
        now = json.loads(json.dumps(about))
        before, after = _flat("", known), _flat("", now)
        keys = dict.fromkeys([*before, *after])
        return [
            f"{key}={before.get(key, 'nothing')}, now {after.get(key, 'nothing')}"
            for key in keys
            if before.get(key) != after.get(key)
        ]


def _refused(attempts: list[FrozenTrial]) -> str | None:
    """Why a slot is not tried again."""
    last = attempts[-1]
    if last.state == TrialState.FAIL and _ERROR not in last.user_attrs and _wasted(attempts) >= _WASTED:
        return f"its process or that of its worker was killed {_WASTED} times"
    return last.user_attrs.get(_ERROR)


def _wasted(attempts: list[FrozenTrial]) -> int:
    """How many attempts in a row were lost that got no further than the one before."""
    wasted, before = 0, 0
    for trial in attempts:
        now = len(trial.intermediate_values)
        if now > before:
            wasted = 0
        elif trial.state == TrialState.FAIL and _LEFT not in trial.user_attrs:
            wasted += 1
        before = now
    return wasted


def _flat(at: str, values: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        name = f"{at}.{key}" if at else key
        found |= _flat(name, value) if isinstance(value, dict) and value else {name: json.dumps(value).strip('"')}
    return found
