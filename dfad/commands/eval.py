"""`dfad eval`, `eval.py`: score clips with a trained detector."""

from __future__ import annotations

from typing import Any, NoReturn

from omegaconf import DictConfig

from dfad.commands.door import do, enter
from dfad.commands.launch import launched


def main() -> NoReturn:
    """Run the command on `sys.argv`."""
    launched(lambda: enter(job, "eval"))


def job(config: DictConfig) -> None:
    """Do what Hydra composed: in this process, or in one of a launcher."""
    do(run, config)


def run(values: dict[str, Any]) -> None:
    """Evaluate as configured, print the results and say where they lie."""
    from rich.markup import escape

    from dfad.commands.reports import report_of
    from dfad.commands.results import show_results, show_robustness
    from dfad.commands.screen import screen
    from dfad.training.config import EvalConfig
    from dfad.training.evaluation import evaluate_run
    from dfad.training.launched import spread
    from dfad.training.meeting import place_met

    here = screen()
    done = evaluate_run(EvalConfig.read(spread(values, place_met())), here)
    if done.before and not (done.judged and done.robust):
        here.say("evaluated already; force=true scores again")
    place = done.place
    if done.judged or not (place.folder / "report.html").is_file():
        with place.working("eval.log"):
            report_of(
                place,
                done.split,
                "scores.csv",
                root=done.root,
                frontend=done.frontend,
                validation=done.validation,
                robust=done.robust,
            )
    show_results(done.results, (done.split,))
    if done.robust:
        show_robustness(done.robust)
    here.say(f"scores {escape(str(place.folder / 'scores.csv'))}")
    here.say(f"report {escape(str(place.folder / 'report.html'))}")
