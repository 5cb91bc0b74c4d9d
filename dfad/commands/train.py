"""`dfad train`, `train.py`: train a detector, or show the run that has already been trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from dfad.commands.door import enter

if TYPE_CHECKING:
    from dfad.report.inputs import Example
    from dfad.training.config import TrainConfig


def main() -> NoReturn:
    """Run the command on `sys.argv`."""
    enter(run, "train")


def run(values: dict[str, Any]) -> None:
    """Train as configured, print the results and say where the report lies."""
    from dfad.commands.screen import result_rows, screen, show_results
    from dfad.report.run import write_report
    from dfad.training.config import TrainConfig
    from dfad.training.fit import train

    config = TrainConfig.read(values)
    here = screen()
    done = train(config, here)
    folder = done.run.folder
    results = done.run.read_json("metrics.json")
    if done.before:
        here.say(f"run [bold]{folder}[/] is finished already; force=true trains it again")
    if not (folder / "report.html").is_file():
        write_report(folder, rows=result_rows(results["values"], ("val", "test")), examples=_examples(config))
    show_results(results, ("val", "test"))
    here.say(f"report {folder / 'report.html'}")


def _examples(config: TrainConfig) -> list[Example]:
    """Two training clips of each class on their way into the network, as the first epoch has them."""
    import numpy as np
    import torch

    from dfad.clips import Label
    from dfad.draws import Draws
    from dfad.report.inputs import Example
    from dfad.training.datamodule import ClipDataset
    from dfad.training.sampling import Pick

    manifest = config.data.manifest()
    rows = manifest.rows("train")
    chosen = np.concatenate([rows[manifest.labels[rows] == label][:2] for label in (Label.BONA_FIDE, Label.SPOOF)])
    frontend = config.frontend.build()
    dataset = ClipDataset(manifest, config.frontend, config.data.limits)
    batch = dataset.collate([dataset[Pick(int(row), 0, 0.0)] for row in chosen])
    draws = Draws(config.seed, 0, batch.row, batch.draw)
    rate = config.frontend.sample_rate
    features = frontend(batch.wave)
    augmented = config.augment.features(frontend(config.augment.wave(batch.wave, draws, rate)), draws)
    with torch.no_grad():
        return [
            Example(wave, rate, before, after, f"{manifest[int(row)].label}: {manifest.ids[int(row)]}")
            for row, wave, before, after in zip(
                chosen, batch.wave.numpy(), features[:, 0].numpy(), augmented[:, 0].numpy(), strict=True
            )
        ]
