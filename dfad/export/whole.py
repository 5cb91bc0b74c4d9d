"""The one sentence of this framework as a module: score = calibrate(network(frontend(wave)))."""

from __future__ import annotations

from copy import deepcopy
from math import log

import torch
from torch import Tensor, nn

from dfad.export.mapping import as_module
from dfad.export.recurrent import with_nodes
from dfad.frontends.base import Frontend
from dfad.frontends.convolved import convolved
from dfad.networks.fusion import Fusion
from dfad.scorer import Scorer

OUTPUTS = ("score", "raw_score", "p_spoof")


class Whole(nn.Module):
    """Waveform → all that a detector says of it, of parts that a graph can hold.

    Shape:
        wave: (batch, samples) float32 at the detector's rate
        -> score, raw_score, p_spoof: (batch,) float32 each, as in `Result`
    """

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.frontend, self.network = convolved(scorer.frontend), with_nodes(deepcopy(scorer.network))
        if isinstance(self.network, Fusion):
            frontends = (convolved(each) for each in self.network.frontends if isinstance(each, Frontend))
            self.network.frontends = nn.ModuleList(frontends)
        deployed = scorer.deployed
        self.calibrate = as_module(deployed.calibrator)
        self.told = deployed.calibrator is not None or deployed.raw.unit == "log-odds"  # what makes P(spoof)
        self.prior = log(deployed.prior / (1 - deployed.prior))
        self.eval().requires_grad_(False).to("cpu")

    def forward(self, wave: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the scores."""
        raw = self.network(self.frontend(wave)).float()
        score = self.calibrate(raw.double())
        p_spoof = torch.sigmoid(self.prior - score) if self.told else torch.full_like(score, torch.nan)
        return score.float(), raw, p_spoof.float()
