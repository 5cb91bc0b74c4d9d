"""Checkpoints that the authors of AASIST published: where they lie, what options and tensors are called here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dfad.errors import ConfigError, RunError
from dfad.networks.aasist import AASISTKnobs
from dfad.networks.pretrained import differences

RATE = 16000  # Hz, of everything that they were trained on
SAMPLES = 64_600
_HOME = "https://raw.githubusercontent.com/clovaai/aasist"


@dataclass(frozen=True)
class Published:
    """A checkpoint.

    Attributes:
        url: where it lies, by a commit that does not change.
        sha256: of the file.
        options: in which the network differs from `AASISTKnobs`.
        trained_on: in words.
    """

    url: str
    sha256: str
    options: Mapping[str, Any] = field(default_factory=dict)
    trained_on: str = "ASVspoof 2019 LA"


PUBLISHED: Mapping[str, Published] = {
    "aasist": Published(
        f"{_HOME}/f8ad059ccba0ed8a3ed3772eb766c1d20a93dcd2/models/weights/AASIST.pth",
        "51d2d9cf0738172f61e2a384ec50a54a55363240f67c971ed55a92435bc1a1c0",
    ),
    "aasist-l": Published(
        f"{_HOME}/8ec3bf996b1e3591ee6371cc28980a74e5042136/models/weights/AASIST-L.pth",
        "814331d088032bb4c3fa61cc014789eadeed464209dd094ab3a2dd6ffbdce27a",
        {"widths": [32, 32, 24, 24, 24, 24], "graph_width": 24, "keep": [0.4, 0.5, 0.7]},
    ),
}

_BLOCK = {"idle": "bn1", "widen": "conv1", "norm": "bn2", "narrow": "conv2", "around": "conv_downsample"}
_ATTENTION = {
    "pair": "att_proj",
    "score": "att_weight",
    "update.heard": "proj_with_att",
    "update.own": "proj_without_att",
    "norm": "bn",
    "project_first": "proj_type1",
    "project_second": "proj_type2",
    "score_first": "att_weight11",
    "score_second": "att_weight22",
    "score_across": "att_weight12",
    "pair_master": "att_projM",
    "score_master": "att_weightM",
    "update_master.heard": "proj_with_attM",
    "update_master.own": "proj_without_attM",
}
_POOL = {"score": "proj"}
_MODULES: Mapping[str, tuple[str, Mapping[str, str]]] = {  # ours → theirs, and so the parts inside it
    **{f"blocks.{number}": (f"encoder.{number}.0", _BLOCK) for number in range(8)},
    "spectral": ("GAT_layer_S", _ATTENTION),
    "temporal": ("GAT_layer_T", _ATTENTION),
    "branches.0.first": ("HtrgGAT_layer_ST11", _ATTENTION),
    "branches.0.second": ("HtrgGAT_layer_ST12", _ATTENTION),
    "branches.1.first": ("HtrgGAT_layer_ST21", _ATTENTION),
    "branches.1.second": ("HtrgGAT_layer_ST22", _ATTENTION),
    "spectral_pool": ("pool_S", _POOL),
    "temporal_pool": ("pool_T", _POOL),
    "branches.0.bands_pool": ("pool_hS1", _POOL),
    "branches.0.frames_pool": ("pool_hT1", _POOL),
    "branches.1.bands_pool": ("pool_hS2", _POOL),
    "branches.1.frames_pool": ("pool_hT2", _POOL),
    "norm": ("first_bn", {}),
    "head": ("out_layer", {}),
}
_PARAMETERS = {"position": "pos_S", "branches.0.master": "master1", "branches.1.master": "master2"}


def their_name(ours: str) -> str:
    """What the authors call a tensor of ours.

    >>> their_name("blocks.2.widen.weight"), their_name("branches.1.frames_pool.score.bias")
    ('encoder.2.0.conv1.weight', 'pool_hT2.proj.bias')
    """
    if ours in _PARAMETERS:
        return _PARAMETERS[ours]
    module = next(name for name in _MODULES if ours.startswith(f"{name}."))
    theirs, parts = _MODULES[module]
    rest = ours.removeprefix(f"{module}.")
    part = next((name for name in parts if rest == name or rest.startswith(f"{name}.")), "")
    return f"{theirs}.{parts.get(part, '')}{rest.removeprefix(part)}"


def translated(given: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Their tensors under our names.

    Raises:
        RunError: naming everything that does not fit, as they call it.
    """
    wanted = {their_name(name): tensor for name, tensor in network.state_dict().items()}
    if told := differences(wanted, given):
        raise RunError("\n".join(told))
    bad = [name for name, tensor in given.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise RunError(f"NaN or infinite numbers: {', '.join(bad[:3])}")
    return {name: given[their_name(name)] for name in network.state_dict()}


def options_of(config: Any) -> tuple[dict[str, Any], int]:
    """Our options by the `model_config` of their JSON, and the samples of a clip that it hears.

    The fourth pool ratio and the fourth temperature are read by nothing in their code.

    Raises:
        ConfigError: for anything else.
    """
    try:
        model = config["model_config"]
        if model["architecture"] != "AASIST":
            raise ConfigError(f"architecture {model['architecture']!r}: only AASIST can be imported")
        filters, *pairs = model["filts"]
        widths = [int(out) for _, out in pairs]
        options = {
            "filters": filters,
            "taps": model["first_conv"] + (model["first_conv"] + 1) % 2,  # they make it odd
            "widths": [*widths, widths[-1], widths[-1]],  # the last block comes three times
            "graph_width": model["gat_dims"][0],
            "joint_width": model["gat_dims"][1],
            "keep": model["pool_ratios"][:3],
            "temperatures": model["temperatures"][:3],
        }
        return AASISTKnobs.read({"name": "aasist", **options}, at="model_config").plain(), int(model["nb_samp"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"no configuration of AASIST as its authors write it ({type(error).__name__}: {error}); "
            "give the file of their config/ folder, with architecture, filts, gat_dims, … under model_config"
        ) from None
