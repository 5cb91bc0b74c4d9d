"""Mixup over the batch of all devices together: who is mixed with whom does not hang on how many there are."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, distributed

from dfad.augment.mixup import Mixup, order, partners
from dfad.training.datamodule import ClipDataModule
from dfad.training.dataset import Batch


class Mixing:
    """Mixes the features of a batch.

    Args:
        knobs: of the mixture.
        data: what the batches come from.
    """

    def __init__(self, knobs: Mixup, data: ClipDataModule) -> None:
        self.knobs, self.data = knobs, data

    def __call__(self, batch: Batch) -> Batch:
        """Mix them; waveforms stay as they are."""
        assert batch.features is not None
        draws, device = self.data.draws(batch), batch.label.device
        first, order_of_all = _of_all(order(draws).to(device))
        _, features = _of_all(batch.features)
        _, labels = _of_all(batch.label)
        other = partners(order_of_all)[first : first + len(batch)]
        share = self.knobs.share(draws).to(device)
        own = share.view(-1, *[1] * (features.ndim - 1))
        mixed = own * batch.features + (1 - own) * features[other]
        return replace(batch, features=mixed, mixed=(labels[other], share))


def _of_all(values: Tensor) -> tuple[int, Tensor]:
    """Where this rank's part begins among those of all ranks, which are alike in size, and all of them."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, values
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.contiguous())
    return distributed.get_rank() * len(values), torch.cat(parts)
