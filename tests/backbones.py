"""Stand-ins for published backbones: the same networks, tiny and with random weights, saved as theirs are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8, 8, 8),
    "conv_stride": (8, 8, 5),  # 50 frames a second, as the real ones
    "conv_kernel": (10, 8, 5),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
STABLE: dict[str, Any] = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}  # as XLS-R
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("Wav2Vec2", {}),
    "xlsr": ("Wav2Vec2", STABLE),
    "hubert": ("Hubert", {"feat_proj_layer_norm": False}),
    "wavlm": ("WavLM", {"num_buckets": 16, "max_bucket_distance": 40}),
    "wavlm-large": ("WavLM", {**STABLE, "num_buckets": 16, "max_bucket_distance": 40}),
}


def model_of(kind: str, **options: Any) -> Any:
    """A small model of `transformers`, in eval mode; in training it masks and skips layers, as published ones do."""
    import transformers

    name, more = KINDS[kind]
    config = getattr(transformers, f"{name}Config")(**SMALL, **more, layerdrop=0.5, mask_time_prob=0.5, **options)
    torch.manual_seed(1)
    model = getattr(transformers, f"{name}Model")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # zeros and ones would hide a wrong bias or norm
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def write(folder: Path, kind: str = "wav2vec2", *, normalise: bool = True, **options: Any) -> Path:
    """Save one as it lies on the hub."""
    model_of(kind, **options).save_pretrained(folder)
    about = {"sampling_rate": 16000, "do_normalize": normalise, "feature_size": 1}
    (folder / "preprocessor_config.json").write_text(json.dumps(about))
    return folder
