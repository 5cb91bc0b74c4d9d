"""How a self-supervised backbone is built, as its config.json says it: plain data that a checkpoint carries along."""

from __future__ import annotations

from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from torch import nn

from dfad.errors import ConfigError
from dfad.knobs import Knobs

Activation = Literal["gelu", "gelu_new", "relu", "selu"]
_Size = Annotated[int, Field(ge=1, le=2**16)]
_CLASSES = {
    "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2Model"),
    "hubert": ("HubertConfig", "HubertModel"),
    "wavlm": ("WavLMConfig", "WavLMModel"),
}


class Architecture(Knobs):
    """What of a config.json says how a backbone is built, under its names there; nothing else of it is used.

    So neither a folder nor a checkpoint can name code: `transformers` is given these numbers and no more. What a
    config.json leaves out has the value here, which is that of `transformers`.
    """

    model_type: Literal["wav2vec2", "hubert", "wavlm"] = Field(description="kind of the backbone")
    hidden_size: _Size = Field(768, description="width of the transformer layers")
    num_hidden_layers: int = Field(12, ge=1, le=256, description="transformer layers")
    num_attention_heads: _Size = Field(12, description="divides the width")
    intermediate_size: _Size = Field(3072, description="width inside a layer")
    hidden_act: Activation = Field("gelu", description="inside a layer")
    layer_norm_eps: float = Field(1e-5, gt=0, description="added to variances")
    do_stable_layer_norm: bool = Field(False, description="norms before attention, and one after the last layer")
    feat_extract_norm: Literal["group", "layer"] = Field("group", description="of the convolutions")
    feat_extract_activation: Activation = Field("gelu", description="of the convolutions")
    conv_dim: tuple[_Size, ...] = Field((512,) * 7, min_length=1, description="channels of each convolution")
    conv_stride: tuple[_Size, ...] = Field((5, 2, 2, 2, 2, 2, 2), description="step of each, samples or frames")
    conv_kernel: tuple[_Size, ...] = Field((10, 3, 3, 3, 3, 2, 2), description="length of each")
    conv_bias: bool = Field(False, description="whether they have one")
    num_conv_pos_embeddings: _Size = Field(128, description="frames of the convolution that tells positions")
    num_conv_pos_embedding_groups: _Size = Field(16, description="groups of it")
    feat_proj_layer_norm: bool = Field(True, description="HuBERT: a norm between convolutions and transformer")
    conv_pos_batch_norm: bool = Field(False, description="HuBERT: batch norm before positions")
    num_buckets: _Size = Field(320, description="WavLM: relative positions told apart")
    max_bucket_distance: _Size = Field(800, description="WavLM: frames beyond which they are not")

    @model_validator(mode="after")
    def _fits_together(self) -> Architecture:
        if not len(self.conv_dim) == len(self.conv_stride) == len(self.conv_kernel):
            raise ValueError("conv_dim, conv_stride and conv_kernel should be of one length")
        for divisor, name in (
            (self.num_attention_heads, "num_attention_heads"),
            (self.num_conv_pos_embedding_groups, "num_conv_pos_embedding_groups"),
        ):
            if self.hidden_size % divisor:
                raise ValueError(f"hidden_size={self.hidden_size} should be a multiple of {name}={divisor}")
        return self

    def frames(self, samples: int) -> int:
        """How many frames it makes of a waveform.

        >>> Architecture(model_type="wavlm").frames(16000)
        49
        """
        layers = zip(self.conv_kernel, self.conv_stride, strict=True)
        return reduce(lambda length, layer: (length - layer[0]) // layer[1] + 1, layers, samples)

    def model(self, dropout: float) -> nn.Module:
        """Make the model of `transformers`, with random weights; nothing in it masks or skips by itself.

        Args:
            dropout: of attention, activations and what lies between layers.

        Raises:
            ConfigError: without `transformers`.
        """
        require_transformers()
        import transformers  # here, as it takes seconds

        transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        config, model = (getattr(transformers, name) for name in _CLASSES[self.model_type])
        ours: dict[str, Any] = {name: v for name, v in self.plain().items() if hasattr(config, name)}
        places = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout")
        dropouts = dict.fromkeys(places, dropout)
        return model(config(**ours, **dropouts, layerdrop=0.0, mask_time_prob=0.0, mask_feature_prob=0.0))


def require_transformers() -> None:
    """Refuse to go on without the package that knows these networks."""
    from importlib.util import find_spec

    if not find_spec("transformers"):
        raise ConfigError("model=ssl needs a package: pip install 'dfad[ssl]'")
