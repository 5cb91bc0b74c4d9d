"""The authors' checkpoints of AASIST: whose parameter is which of ours, and which options their configuration means."""

from __future__ import annotations

import re
from collections.abc import Mapping

_BLOCK = {"bn1": "idle", "conv1": "widen", "bn2": "norm", "conv2": "narrow", "conv_downsample": "around"}
_ATTENTION = {
    "att_proj": "pair",
    "att_weight": "score",
    "proj_with_att": "update.heard",
    "proj_without_att": "update.own",
    "bn": "norm",
    "proj_type1": "project_first",
    "proj_type2": "project_second",
    "att_weight11": "score_first",
    "att_weight22": "score_second",
    "att_weight12": "score_across",
    "att_projM": "pair_master",
    "att_weightM": "score_master",
    "proj_with_attM": "update_master.heard",
    "proj_without_attM": "update_master.own",
}
_POOL = {"proj": "score"}
MODULES: Mapping[str, tuple[str, Mapping[str, str]]] = {  # theirs, a pattern → ours, and the parts inside it
    r"encoder\.(\d)\.0": (r"blocks.\1", _BLOCK),
    "GAT_layer_S": ("spectral", _ATTENTION),
    "GAT_layer_T": ("temporal", _ATTENTION),
    "HtrgGAT_layer_ST11": ("branches.0.first", _ATTENTION),
    "HtrgGAT_layer_ST12": ("branches.0.second", _ATTENTION),
    "HtrgGAT_layer_ST21": ("branches.1.first", _ATTENTION),
    "HtrgGAT_layer_ST22": ("branches.1.second", _ATTENTION),
    "pool_S": ("spectral_pool", _POOL),
    "pool_T": ("temporal_pool", _POOL),
    "pool_hS1": ("branches.0.bands_pool", _POOL),
    "pool_hT1": ("branches.0.frames_pool", _POOL),
    "pool_hS2": ("branches.1.bands_pool", _POOL),
    "pool_hT2": ("branches.1.frames_pool", _POOL),
    "first_bn": ("norm", {}),
    "out_layer": ("head", {}),
}
PARAMETERS: Mapping[str, str] = {"pos_S": "position", "master1": "branches.0.master", "master2": "branches.1.master"}


def our_name(theirs: str) -> str | None:
    """Our name of a tensor of theirs; None for one that there is not.

    >>> our_name("encoder.2.0.conv1.weight"), our_name("pool_hT2.proj.bias"), our_name("fc.weight")
    ('blocks.2.widen.weight', 'branches.1.frames_pool.score.bias', None)
    """
    if theirs in PARAMETERS:
        return PARAMETERS[theirs]
    for pattern, (ours, parts) in MODULES.items():
        if found := re.match(rf"{pattern}\.", theirs):
            module, rest = found.expand(ours), theirs[found.end() :]
            part, _, tensor = rest.partition(".")
            if not parts:
                return f"{module}.{rest}"
            return ".".join(filter(None, [module, parts[part], tensor])) if part in parts else None
    return None
