"""`dfad eval`, `eval.py`: score clips with a trained detector."""

from __future__ import annotations

from typing import Any, NoReturn

from dfad.commands.door import enter


def main() -> NoReturn:
    """Run the command on `sys.argv`."""
    enter(run, "eval")


def run(values: dict[str, Any]) -> None:
    """Evaluate as configured, print the results and say where they lie."""
    from rich.markup import escape

    from dfad.commands.screen import screen, show_results
    from dfad.training.config import EvalConfig
    from dfad.training.evaluation import evaluate_run

    here = screen()
    done = evaluate_run(EvalConfig.read(values), here)
    if done.before:
        here.say("evaluated already; force=true scores again")
    (split,) = {key.split("/")[0] for key in done.results["values"]}
    show_results(done.results, (split,))
    here.say(f"scores {escape(str(done.folder / 'scores.csv'))}")
