"""The run folder on Weights & Biases; the only module that imports wandb, and only when it is used.

A run's id there is the hash in its folder's name, so it is one run however often its training was cut off and went on;
under `wandb agent` the id that the agent dealt holds. Online, a process goes on with the run (`resume="allow"`) and
adds the epochs that are missing. Offline nothing can be looked up, so each process writes a whole run from the first
epoch on: the last part alone is complete, `wandb sync` of it replaces what was synced before, and earlier parts, half
written ones included, are deleted once it is. Nothing is written outside the run folder, unless WANDB_DIR or its like
ask for that.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml
from rich.markup import escape

from dfad.errors import ConfigError
from dfad.training.loggers import WandbKnobs
from dfad.training.mirror import HeardClip
from dfad.training.runs import Run

FILES = (
    *("config.yaml", "environment.json", "manifest.json", "metrics.json", "deployed.json"),
    *("curves.csv", "report.html"),
)
WAITS_S = {"init_timeout": 30.0, "finish_timeout": 120.0}  # WANDB_INIT_TIMEOUT and WANDB_FINISH_TIMEOUT go before
SYNC = "wandb sync --include-online --include-synced"  # also what was begun online, and cut off
_NO_ANSWER = "Failed to execute API request: the service process is busy and did not respond in time."


class WandbBoard:
    """A run on Weights & Biases.

    Args:
        knobs: options.
        group: for `group=null`.
        say: prints a line.

    Raises:
        ConfigError: if it must be online and there is no key.
    """

    name = "wandb"

    def __init__(self, knobs: WandbKnobs, group: str | None, say: Callable[[str], None]) -> None:
        self.knobs, self.group, self.say = knobs, knobs.group or group, say
        self.clips = knobs.worst
        self.complete = False
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # to its makers: nobody asked for that, and it is loud
        self.ours: dict[str, str] = {}  # environment variables that this board sets
        if knobs.mode == "online" and (trouble := _trouble(verify=False)):
            self._refuse(trouble)

    def key(self, run: Run) -> str:
        """The place: entity, project and id, or the agent's."""
        if sweep := os.environ.get("WANDB_SWEEP_ID"):
            return f"{sweep}/{os.environ.get('WANDB_RUN_ID')}"
        return f"{self.knobs.entity or ''}/{self.knobs.project}/{_id(run)}"

    def open(self, run: Run, *, goes_on: bool) -> None:
        """Begin or go on, online if that can be, and say where."""
        import wandb

        home = run.folder.resolve() / "wandb"
        homes = {"WANDB_DIR": home.parent, "WANDB_DATA_DIR": home / "data", "WANDB_CACHE_DIR": home / "cache"}
        self.ours = {name: str(path) for name, path in homes.items() if name not in os.environ}
        os.environ.update(self.ours)
        self.complete, self.goes_on = False, goes_on
        asked = self.knobs.mode == "offline"
        trouble = "logger.mode=offline" if asked else _trouble(verify=True)
        if not trouble:
            try:
                self.run = self._init(run, "online", goes_on)
                self.say(f"dashboard {escape(self.run.url or '')}")
                return
            except (wandb.Error, TimeoutError) as error:
                trouble = _first_line(error)
                wandb.teardown()
        if self.knobs.mode == "online":
            self._refuse(trouble)
        self.run = self._init(run, "offline", goes_on)
        self.say(f"Weights & Biases is offline: {escape(trouble)}")

    def row(self, values: Mapping[str, float]) -> None:
        """Send one epoch; those before the first step of this process are there, and are the same."""
        epoch = int(values["epoch"])
        if epoch >= self.run.starting_step:
            self.run.log(dict(values), step=epoch, commit=True)

    def results(self, run: Run, clips: Sequence[HeardClip]) -> None:
        """Send summary, figures, worst clips, scores, files, and the code if no commit says it."""
        import wandb

        from dfad.training.wandb_tables import breakdown_table, clip_table, threshold_table

        folder = run.folder.resolve()
        results = run.read_json("metrics.json")
        self.run.summary.update({name: value for name, value in results["values"].items() if value is not None})
        pictures = {f"figures/{path.stem}": wandb.Image(str(path)) for path in sorted(folder.glob("figures/*.png"))}
        tables = {f"tables/by_{name}": breakdown_table(parts) for name, parts in results["breakdowns"]["test"].items()}
        tables |= {"tables/thresholds": threshold_table(results)}
        self.run.log(pictures | tables | ({"worst_clips": clip_table(clips)} if clips else {}))
        scores = wandb.Artifact(f"scores-{_id(run)}", type="scores")
        for path in sorted(folder.glob("scores/*.csv")):
            scores.add_file(str(path), name=path.name, policy="immutable", skip_cache=True)
        self.run.log_artifact(scores)
        for name in FILES:
            self.run.save(glob.escape(str(folder / name)), base_path=glob.escape(str(folder)), policy="now")
        if _commit(run).endswith("+"):  # the tree was changed: no commit holds this code
            root = Path(__file__).parents[1]
            self.run.log_code(str(root), name=f"code-{_id(run)}", include_fn=lambda path: path.endswith(".py"))
        self.complete = True

    def close(self, *, failed: bool) -> str:
        """Wait until all is sent, but not for ever; what is left can be sent by hand."""
        offline, place = bool(self.run.settings.mode == "offline"), Path(self.run.settings.sync_dir)
        where = f"offline: {self._sync()}" if offline else self.run.url or ""
        try:
            self.run.finish(exit_code=1 if failed else 0)
        except TimeoutError:
            self.say("[yellow]note[/] Weights & Biases did not take all in time")
            where = f"not all sent: {self._sync()}"
        finally:
            self._leave()
        if self.complete and self.goes_on and not failed:  # parts of the same place, which this one holds all of
            for part in place.parent.glob(f"offline-run-*-{glob.escape(self.run.id)}"):
                if part != place:
                    shutil.rmtree(part)
        return where

    def _init(self, run: Run, mode: Literal["online", "offline"], goes_on: bool) -> Any:
        import wandb

        waits = {name: value for name, value in WAITS_S.items() if f"WANDB_{name.upper()}" not in os.environ}
        commit = _commit(run).removesuffix("+")
        settings = wandb.Settings(
            silent=True,
            console="off",  # what the screen shows is in train.log, without the progress bars
            finish_timeout_raises=True,
            disable_job_creation=True,
            **({"git_commit": commit} if commit else {}),
            **waits,
        )
        agent = "WANDB_SWEEP_ID" in os.environ
        config = yaml.safe_load((run.folder / "config.yaml").read_text())
        made = wandb.init(
            id=None if agent else _id(run),
            project=None if agent else self.knobs.project,
            entity=None if agent else self.knobs.entity,
            name=run.folder.name,
            group=self.group,
            tags=self.knobs.tags,
            config={**config, "environment": run.read_json("environment.json")},
            mode=mode,
            resume="allow" if goes_on and mode == "online" else None,
            settings=settings,
        )
        made.define_metric("epoch", hidden=True)
        for name in ("train/*", "val/*", "lr"):
            made.define_metric(name, step_metric="epoch")
        return made

    def _refuse(self, trouble: str) -> NoReturn:
        self._leave()
        raise ConfigError(f"logger.mode=online, but {trouble}; logger.mode=auto goes on offline")

    def _leave(self) -> None:
        """End the background process of wandb too, so that the next job of this one begins afresh."""
        import wandb

        for name in self.ours:
            os.environ.pop(name, None)
        wandb.teardown()

    def _sync(self) -> str:
        place = Path(self.run.settings.sync_dir)
        shown = place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place
        return f"{'wandb sync' if self.run.settings.mode == 'offline' else SYNC} {shown}"


def _trouble(*, verify: bool) -> str | None:
    """Why it cannot be online, in words, without a prompt and in bounded time; WANDB_HTTP_TIMEOUT sets that, in s."""
    import wandb

    settings = wandb.setup(settings=wandb.Settings(silent=True)).settings
    if settings.mode in ("offline", "dryrun", "disabled"):
        return f"its settings say mode={settings.mode}"
    try:
        known = wandb.login(prompt=False, verify=verify)
    except wandb.errors.AuthenticationError as error:
        return _first_line(error).replace(_NO_ANSWER, "no answer")
    return None if known else "there is no API key; wandb login stores one"


def _id(run: Run) -> str:
    return run.folder.name.rpartition("-")[2]


def _commit(run: Run) -> str:
    return (run.read_json("environment.json") or {}).get("git_commit") or ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
