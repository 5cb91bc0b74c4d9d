"""`dfad models`: what networks cost, against counts by hand, and the table of all presets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from dfad.commands import models
from dfad.networks.counting import macs, parameters
from tests.conftest import ROOT, Called


def test_macs_are_those_that_one_counts_by_hand() -> None:
    convolution = nn.Conv2d(3, 8, (3, 5), padding=(1, 2))
    assert macs(convolution, torch.zeros(1, 3, 10, 20)) == 10 * 20 * 8 * 3 * 15
    assert macs(convolution, torch.zeros(4, 3, 10, 20)) == 4 * 10 * 20 * 8 * 3 * 15
    assert macs(nn.Conv1d(8, 8, 3, groups=4), torch.zeros(1, 8, 12)) == 10 * 8 * 2 * 3
    assert macs(nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.BatchNorm1d(5)), torch.zeros(2, 7)) == 2 * 7 * 5
    attention = nn.MultiheadAttention(8, 2, batch_first=True)

    class Self(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attention(x, x, x)[0]

    assert macs(Self().train(), torch.zeros(1, 6, 8)) == 6 * 4 * 8 * 8 + 2 * 6 * 6 * 8


@pytest.mark.parametrize(("kind", "gates"), [(nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrences_are_counted_step_by_step(kind: type[nn.GRU | nn.LSTM], gates: int) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = kind(5, 7, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x)[0][:, -1]

    assert macs(Last(), torch.zeros(1, 11, 5)) == 11 * gates * 7 * ((5 + 7) + (7 + 7))


def test_counting_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).train()
    before = network[0].weight.clone()
    macs(network, torch.zeros(1, 3))
    assert network.training
    assert network[0].weight.equal(before)
    assert parameters(network) == 8


def test_the_table_has_every_preset(command: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stored = tmp_path / "models.json"
    stored.write_text(json.dumps({"machine": "some machine", "presets": {"cnn": {"inference": 123.4, "training": 5}}}))
    monkeypatch.setattr(models, "MEASURED", stored)
    code, out, _ = command("models", "--json")
    found = json.loads(out)
    rows = {row["preset"]: row for row in found["presets"]}
    assert code == 0
    assert set(rows) == {path.stem for path in (ROOT / "conf" / "model").glob("*.yaml")}
    assert (rows["aasist"]["parameters"], rows["aasist_l"]["parameters"]) == (297_866, 85_306)
    assert (rows["cnn"]["inference"], rows["rawnet2"]["inference"]) == (123.4, None)
    assert all(row["parameters"] is None for row in rows.values() if row["model"] == "ssl")
    shown = command("models")[1]
    assert "needs its backbone" in shown
    assert "some machine" in shown
    monkeypatch.setattr(models, "MEASURED", tmp_path / "none")
    assert "not measured yet: python -m bench.models" in command("models")[1]
