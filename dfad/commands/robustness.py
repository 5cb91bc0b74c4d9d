"""`dfad robustness RUN…`: what laundering and attacks do to several runs, from the suites that eval.py has stored."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dfad.commands.guard import guarded, writing
from dfad.commands.results import show_table
from dfad.commands.scored import scored
from dfad.commands.tables import export, note
from dfad.deployed import Deployed
from dfad.errors import ConfigError, RunError, did_you_mean
from dfad.evaluation import EvaluationKnobs
from dfad.report.board import read_mapping
from dfad.report.robust_runs import METRICS, RUNS, cells, heat_map, long, run_rows, title, write_page
from dfad.report.robust_tables import SEEN
from dfad.robustness.average import Member, averaged
from dfad.robustness.conditions import CLEAN, Condition, counted
from dfad.robustness.results import FAMILIES, FORMAT, results_of
from dfad.robustness.tables import FOLDER, Tables
from dfad.scores import ScoreTable

JSON = "robustness.json"
SOME = 5  # conditions that a note names
SCORE = "python eval.py run={run} robustness=laundering"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad robustness")))


@dataclass(frozen=True)
class _Suite:
    """A stored suite.

    Attributes:
        place: folder of the evaluation.
        results: as `robustness.json` holds them.
    """

    place: Path
    results: Mapping[str, Any]

    @property
    def seeds(self) -> tuple[int, ...]:
        """By which what its conditions drew was drawn."""
        seeds = Tables(self.place / FOLDER).seeds
        return tuple(sorted({seeds[one["key"]] for one in self.results["conditions"] if one["key"] in seeds}))

    def tables(self, conditions: Sequence[Condition]) -> dict[Condition, ScoreTable]:
        """The clips as they are and under conditions, scored as they were when they were judged.

        Raises:
            RunError: if tables are gone, or were scored anew since.
        """
        stored, judged = Tables(self.place / FOLDER), self.results["by"]["made"]
        wanted, now = (CLEAN, *conditions), stored.made
        again = f"type eval.py run={self.place.parent.parent} robustness=… to score and judge them"
        if gone := stored.lacking(wanted):
            raise RunError(f"{stored.folder} lacks {_some(list(map(str, gone)))}; {again}")
        if other := [str(one) for one in wanted if now.get(one.key) != judged.get(one.key)]:
            raise RunError(f"{self.place / JSON} is not of the scores of {_some(other)} that lie there now; {again}")
        return stored.read(wanted)


@app.command()
def command(
    runs: Annotated[list[Path], typer.Argument(help="runs, or folders of their evals/", metavar="RUN…")],
    metric: Annotated[str, typer.Option(help=f"of the table: {', '.join(METRICS)}")] = "eer",
    names: Annotated[str | None, typer.Option(metavar="A,B,…", help="what to call the runs")] = None,
    average: Annotated[bool, typer.Option("--average", help="beside them, the mean of their scores")] = False,
    png: Annotated[Path | None, typer.Option(metavar="FILE.png", help="draw the table as a heat map")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE.html", help="a page with curves and tables")] = None,
    csv: Annotated[
        bool, typer.Option("--csv", help="as CSV, all numbers unrounded, a row per run and condition")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, the same rows")] = False,
) -> None:
    """Show a metric by condition and run: clips as they are, laundered and attacked; * marks what training had heard.

    Nothing is scored here; eval.py does that:

    python eval.py run=runs/a robustness=laundering

    With --average the runs decide together on laundered clips, by the mean of their scores; threshold and calibrator
    of the mean are chosen on its own clean validation scores.
    """
    if csv and as_json:
        raise ConfigError("--csv and --json: choose one")
    if metric not in METRICS:
        raise ConfigError(f"--metric {metric}: there is none of that name; {did_you_mean(metric, METRICS)}")
    for option, path in {"png": png, "html": html}.items():
        if path and path.suffix != f".{option}":
            raise ConfigError(f"--{option} {path}: give a name that ends in .{option}")
    suites = [_suite(run) for run in runs]
    named = dict(zip(_names(names, suites), suites, strict=True))
    notes = _notes(named)
    shown: dict[str, Mapping[str, Any]] = dict(zip(named, _comparable(suites), strict=True))
    if average:
        mean = _average(suites, list(shown))
        shown[f"mean of {len(suites)}"] = mean
        notes += mean["notes"]
    for text in notes:
        note(text)
    if csv or as_json:
        export(long(shown), as_json)
    else:
        show_table((title(metric), *shown), cells(shown, metric))
        if any(one["seen"] for results in shown.values() for one in results["conditions"]):
            print(SEEN)
        show_table(RUNS, run_rows(shown))
    if png:
        from dfad.report.style import png as picture

        with writing(png):
            png.write_bytes(picture(heat_map(shown, metric)))
        print(f"picture {png}", file=sys.stderr)
    if html:
        with writing(html):
            write_page(html, shown, metric, notes)
        print(f"page {html}", file=sys.stderr)


def _suite(run: Path) -> _Suite:
    """The only suite of a run, or that of one of its evaluations.

    Raises:
        RunError: if there is none, several, or a damaged one.
    """
    if not run.is_dir():
        raise RunError(f"there is no folder {run}; dfad runs lists the runs that there are")
    found = [run] if (run / JSON).is_file() else sorted(path.parent for path in run.glob(f"evals/*/{JSON}"))
    if not found:
        raise RunError(f"{run} has no suite yet; score it with {SCORE.format(run=run)}")
    if len(found) > 1:
        raise RunError(f"{run} has suites on several corpora; give one of {', '.join(map(str, found))}")
    path = found[0] / JSON
    try:
        results = read_mapping(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}); score it again with {SCORE.format(run=run)}") from None
    if results.get("format") != FORMAT:
        raise RunError(f"{path} is of another dfad; judge it again with {SCORE.format(run=run)}")
    return _Suite(found[0], results)


def _names(names: str | None, suites: Sequence[_Suite]) -> list[str]:
    """What to call the runs: their folders, with those of the evaluations where these are not enough.

    Raises:
        ConfigError: for names that are not one for each, or the same.
    """
    if names is None:
        found = [suite.place.parent.parent.name for suite in suites]
        if len(set(found)) < len(found):
            found = [f"{suite.place.parent.parent.name}/{suite.place.name}" for suite in suites]
    else:
        found = [name.strip() for name in names.split(",")]
    if len(found) != len(suites) or len(set(found)) < len(found) or not all(found):
        raise ConfigError(
            f"{len(suites)} runs and the names {', '.join(found)}: give every run once, and a name of its own"
        )
    return found


def _notes(suites: Mapping[str, _Suite]) -> list[str]:
    """What a reader should know: what each run's suite says, and in what they differ."""
    found = []
    if len({suite.results["digest"] for suite in suites.values()}) > 1:
        clips = {name: suite.results["clips"] for name, suite in suites.items()}
        each = ", ".join(f"{name} {of['bona-fide']} + {of['spoof']}" for name, of in clips.items())
        found.append(f"these suites are not of the same clips (bona fide + spoof: {each})")
    if len({suite.seeds for suite in suites.values()}) > 1:
        each = ", ".join(f"{name} {' and '.join(map(str, suite.seeds))}" for name, suite in suites.items())
        found.append(f"these suites have other seeds ({each}): noises, rooms and starts are others")
    shared = _shared([*suites.values()])
    titles = {one["key"]: one["title"] for suite in suites.values() for one in suite.results["conditions"]}
    if more := [title for key, title in titles.items() if key not in shared]:
        found.append(
            f"not every suite has {_some(more)}: means are over the {counted(len(shared), 'condition')} that all have"
        )
    for name, suite in suites.items():
        found += [f"{name}: {text}" for text in suite.results["notes"]]
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SOME]) + (" …" if len(names) > SOME else "")


def _shared(suites: Sequence[_Suite]) -> set[str]:
    """The conditions that all suites have which have any of the kind."""
    found: set[str] = set()
    for family in FAMILIES:
        keys = [{one["key"] for one in suite.results["conditions"] if one["family"] == family} for suite in suites]
        if there := [each for each in keys if each]:
            found |= set.intersection(*there)
    return found


def _comparable(suites: Sequence[_Suite]) -> list[dict[str, Any]]:
    """The results of each, with means over the conditions that all have.

    Raises:
        RunError: as `_Suite.tables`.
    """
    shared = _shared(suites)
    found = []
    for suite in suites:
        results = dict(suite.results)
        conditions = [_condition(one) for one in results["conditions"] if one["key"] in shared]
        if len(conditions) < len(results["conditions"]):
            tables, judged = suite.tables(conditions), scored(suite.place)
            options = EvaluationKnobs.read(dict(judged.options))
            results["means"] = results_of(
                tables,
                judged.deployed or Deployed(),
                seen=results["seen"],
                cluster=options.cluster,
                resamples=options.resamples,
            )["means"]
        found.append(results)
    return found


def _average(suites: Sequence[_Suite], names: Sequence[str]) -> dict[str, Any]:
    """The results of the mean of all scores on laundered clips.

    Raises:
        ConfigError: for fewer than two runs.
        RunError: if one of them has no validation scores; or as `_Suite.tables`.
        DataError: if they were not scored on the same clips and draws.
    """
    if len(suites) < 2:
        raise ConfigError("--average: give two runs or more")
    seeds: dict[str, set[int]] = {}
    members = []
    for name, suite in zip(names, suites, strict=True):
        judged = scored(suite.place)
        if judged.validation is None or judged.deployed is None:
            raise RunError(f"{suite.place} has no validation scores of its detector, by which a threshold is chosen")
        for key, seed in Tables(suite.place / FOLDER).seeds.items():
            seeds.setdefault(key, set()).add(seed)
        conditions = [_condition(one) for one in suite.results["conditions"] if one["family"] == "laundering"]
        members.append(Member(name, judged.validation, judged.deployed, suite.tables(conditions)))
    options = EvaluationKnobs.read(dict(scored(suites[0].place).options))
    tables, deployed = averaged(members, options)
    if drawn := [str(one) for one in tables if len(seeds.get(one.key, ())) > 1]:
        raise RunError(f"{', '.join(drawn)}: scored with other seeds, so that the noise was another; choose one seed")
    had = [suite.results["seen"] for suite in suites]
    return results_of(
        tables,
        deployed,
        seen=None if None in had else {name: by for one in had for name, by in one.items()},
        cluster=options.cluster,
        resamples=options.resamples,
        worst=options.worst,
        notes=deployed.notes,
    )


def _condition(one: Mapping[str, Any]) -> Condition:
    return Condition(**{name: one[name] for name in ("family", "name", "strength", "unit", "harder")})
