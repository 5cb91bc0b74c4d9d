"""`dfad train`, `train.py`: train a detector, or show the run that has already been trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from omegaconf import DictConfig

from dfad.commands.door import do, enter
from dfad.commands.jobs import sweep_name
from dfad.commands.launch import launched

if TYPE_CHECKING:
    from dfad.clips import Manifest
    from dfad.labels import Label
    from dfad.report.inputs import Example
    from dfad.training.config import TrainConfig
    from dfad.training.sampling import Pick, TrainBatches


def main() -> NoReturn:
    """Run the command on `sys.argv`."""
    launched(lambda: enter(job, "train"))


def job(config: DictConfig) -> None:
    """Do what Hydra composed: in this process, or in one of a launcher."""
    do(run, config)


def run(values: dict[str, Any]) -> Path:
    """Train as configured, print the results, say where the report lies, and give the run folder."""
    from contextlib import nullcontext

    from rich.markup import escape

    from dfad.commands.dashboard import mirror_of, worst_clips
    from dfad.commands.reports import report_of
    from dfad.commands.results import result_line, show_results
    from dfad.commands.screen import screen
    from dfad.training.config import TrainConfig
    from dfad.training.fit import train
    from dfad.training.launched import spread
    from dfad.training.meeting import place_met

    config = TrainConfig.read(spread(values, place_met()))
    here = screen()
    with mirror_of(config, here.say) or nullcontext() as mirror:  # closed even if the training fails
        done = train(config, here, [mirror] if mirror else [])
        folder = done.run.folder
        results = done.run.read_json("metrics.json")
        if done.before and not sweep_name():
            again = "its scores are judged anew" if done.judged else "force=true trains it again"
            here.say(f"run [bold]{escape(str(folder))}[/] is finished already; {again}")
        if done.judged or not (folder / "report.html").is_file():
            with done.run.working():
                skipped = done.run.read_json("manifest.json")["skipped"]
                manifest = config.data.manifest().without(skipped)
                report_of(
                    done.run,
                    "test",
                    "scores/test.csv",
                    root=manifest.root,
                    frontend=config.frontend,
                    validation=folder / "scores" / "val.csv",
                    examples=_examples(config, manifest),
                )
        if sweep_name():  # a line will do: the sweep ends with a table of its own
            here.say(f"{'finished already' if done.before else 'done'} {escape(str(folder))}  {result_line(results)}")
        else:
            show_results(results, ("val", "test"))
            here.say(f"report {escape(str(folder / 'report.html'))}")
        if mirror:
            mirror.finish(done.run, lambda: worst_clips(config, done.run, mirror.board.clips))
    return folder


def _examples(config: TrainConfig, manifest: Manifest) -> list[Example]:
    """Two training clips of each class on their way into the network, as the first epoch has them."""
    from itertools import islice

    import numpy as np
    import torch

    from dfad.draws import Draws
    from dfad.labels import Label
    from dfad.report.inputs import Example
    from dfad.training.clip_chain import clip_chain
    from dfad.training.clip_copies import clip_copies
    from dfad.training.dataset import ClipDataset
    from dfad.training.sampling import TrainBatches
    from dfad.training.shares import cells_of, copies_by_part

    share = config.augment.copies
    batches = TrainBatches(
        manifest.rows("train"),
        batch_size=64,
        seed=config.seed,
        epoch=lambda: 0,
        cells=cells_of(manifest, config.data, share),
        copies=sum(copies_by_part(manifest, config.data, share).values()),
    )
    first = {label: islice(_picks(manifest, batches, label), 2) for label in reversed(Label)}
    picks = [pick for found in first.values() for pick in found]
    chain = clip_chain(config.augment, manifest, config.frontend, config.data.limits, config.seed)
    copies = clip_copies(config.augment, config.frontend, config.seed)
    dataset = ClipDataset(manifest, config.frontend, config.data.limits, copies=copies)
    batch = dataset.collate([dataset[pick] for pick in picks])
    draws = Draws(config.seed, 0, batch.row, batch.draw)
    frontend, rate = config.frontend.build(), config.frontend.sample_rate
    with torch.no_grad():
        features = frontend(batch.wave)
        if chain:
            heard = torch.from_numpy(np.stack([chain(*item) for item in zip(batch.wave.numpy(), picks, strict=True)]))
        else:
            heard = config.augment.wave(batch.wave, draws, rate)
        augmented = config.augment.features(frontend(heard), draws)

    def title(pick: Pick) -> str:
        if copies and pick.copied:
            return f"{Label.SPOOF}: {copies.vocoder(pick)} copy of {manifest.ids[pick.row]}"
        return f"{manifest[pick.row].label}: {manifest.ids[pick.row]}"

    return [
        Example(wave, rate, before, after, title(pick))
        for pick, wave, before, after in zip(
            picks, batch.wave.numpy(), features[:, 0].numpy(), augmented[:, 0].numpy(), strict=True
        )
    ]


def _picks(manifest: Manifest, batches: TrainBatches, label: Label) -> Iterator[Pick]:
    """The clips of a class in their order; a copy is a spoof."""
    return (pick for batch in batches for pick in batch if manifest.labels[pick.row] * (not pick.copied) == label)
