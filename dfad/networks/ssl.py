"""Detectors on a self-supervised backbone: wav2vec 2.0, XLS-R, HuBERT or WavLM under a small back-end.

Baevski et al. (NeurIPS 2020); Babu et al. (Interspeech 2022); Hsu et al. (TASLP 2021); Chen et al. (JSTSP 2022).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, WithJsonSchema, field_validator
from torch import Tensor, nn

from dfad.download import Progress
from dfad.errors import ConfigError, RunError
from dfad.frontends import FrontendKnobs
from dfad.knobs import Free
from dfad.networks import backbone, pretrained
from dfad.networks.architecture import Architecture, require_transformers
from dfad.networks.back_ends import BACK_ENDS, LEAST_FRAMES, LayerSum
from dfad.networks.base import NetworkKnobs
from dfad.networks.encoder import Encoder
from dfad.networks.heads import Head

_Unfreeze = Annotated[str | int, WithJsonSchema({"enum": ["none", "1, 2, …", "all"]})]
CONVOLUTIONS, EMBEDDING, KEPT, ALL = range(1, 5)  # how many stages of the encoder are frozen, up to and with this one


class SSLKnobs(NetworkKnobs):
    """Options of detectors on a self-supervised backbone."""

    name: Literal["ssl"] = "ssl"
    lr: float = Field(1e-3, gt=0, description="peak learning rate of the back-end")
    backbone_lr: float = Field(1e-5, gt=0, description="peak learning rate of the backbone's topmost layer")
    layer_decay: float = Field(0.9, gt=0, le=1, description="from a trained layer's rate to that of the one below")
    backbone: str = Field(
        "facebook/wav2vec2-base",
        min_length=1,
        description="a name on the Hugging Face hub (downloaded once) | a folder",
    )
    revision: str = Field("main", min_length=1, description="branch, tag or commit on the hub")
    unfreeze: _Unfreeze = Field("none", description="what of the backbone is trained: so many layers, from the last")
    freeze_convolutions: bool = Field(True, description="keep the convolutions under unfreeze=all")
    backbone_dropout: float = Field(0.1, ge=0, lt=1, description="in the layers that are trained")
    layer_drop: float = Field(0.0, ge=0, lt=1, description="probability that a trained layer is skipped in a step")
    normalise: bool | None = Field(
        None, description="each clip to zero mean and unit variance; null: as its preprocessor_config.json says"
    )
    back_end: Literal["pool", "aasist"] = Field(
        "pool", description="attentive statistics pooling and a linear layer, or AASIST's graphs"
    )
    hidden: int = Field(128, ge=3, le=8192, description="width to which the back-end projects frames first")
    dropout: float = Field(0.2, ge=0, lt=1, description="before its last layer")
    architecture: Annotated[Architecture | None, Free] = Field(
        None, description="what config.json says, written into checkpoints; null: read from the backbone"
    )

    @field_validator("unfreeze")
    @classmethod
    def _layers(cls, unfreeze: str | int) -> str | int:
        if unfreeze not in ("none", "all") and not (isinstance(unfreeze, int) and unfreeze > 0):
            raise ValueError("should be none, all, or how many of the last layers: 1, 2, …")
        return unfreeze

    def require(self, frontend: FrontendKnobs) -> None:
        """Refuse anything but waveforms at 16 kHz, and to go without `transformers`."""
        require_transformers()
        if frontend.spectral:
            raise ConfigError(f"model=ssl hears the waveform, not frontend={frontend.name}; use frontend=raw")
        if frontend.sample_rate != backbone.SAMPLE_RATE:
            raise ConfigError(
                f"model=ssl works at {backbone.SAMPLE_RATE} Hz; use frontend.sample_rate={backbone.SAMPLE_RATE}"
            )

    def identity(self) -> dict[str, Any]:
        """What can change a run's numbers: of a folder its content, not its path."""
        values = super().identity()
        if folder := backbone.local(self.backbone):
            del values["revision"]
            values["backbone"] = backbone.digest(folder)
        return values

    def ready(self, progress: Progress | None = None) -> Self:
        """Read how the backbone is built, and whether it wants clips normalised."""
        folder = backbone.find(self.backbone, self.revision, progress)
        found = backbone.read_architecture(folder)
        if self.architecture not in (None, found):
            raise ConfigError(f"model.architecture is not what {folder / backbone.CONFIG} says; leave it null")
        if isinstance(self.unfreeze, int) and self.unfreeze > found.num_hidden_layers:
            raise ConfigError(
                f"model.unfreeze={self.unfreeze}: the backbone has {found.num_hidden_layers} layers; "
                "use fewer, or model.unfreeze=all"
            )
        normalise = backbone.read_normalise(folder) if self.normalise is None else self.normalise
        commit = {} if backbone.local(self.backbone) else {"revision": folder.name}  # what a branch is today
        return self.model_copy(update={"architecture": found, "normalise": normalise, **commit})

    def build(self, frontend: FrontendKnobs, head: Head = "linear") -> SSL:
        """Make the network; of options that `ready` gave, or a checkpoint."""
        self.require(frontend)
        return SSL(self, self._known(frontend), head)

    def start(self, network: nn.Module, progress: Progress | None = None) -> None:
        """Put the backbone's weights in; the back-end begins anew."""
        assert isinstance(network, SSL)
        folder = backbone.find(self.backbone, self.revision, progress)
        given, wanted = backbone.read_weights(folder), network.encoder.pretrained()
        if told := pretrained.differences(wanted, given):
            raise RunError("\n".join([f"{folder}: the weights do not fit {backbone.CONFIG}", *told]))
        with torch.no_grad():
            for name, tensor in wanted.items():
                tensor.copy_(given[name])
                if not tensor.isfinite().all():
                    raise RunError(f"{folder}: {name} holds NaN or infinite numbers; give other weights")

    def split(self, network: nn.Module) -> tuple[nn.Module, nn.Module] | None:
        """Cut it before the first stage of the backbone that is trained; with none, before the weighted sum."""
        assert isinstance(network, SSL)
        stages, cut = network.encoder.stages, self.frozen
        rest = nn.Sequential(*stages[cut:], network.sum, network.back_end)
        return (nn.Sequential(*stages[:cut]), rest) if cut else None

    @property
    def frozen(self) -> int:
        """How many of the four stages of the backbone are never trained."""
        if self.unfreeze == "all":
            return CONVOLUTIONS if self.freeze_convolutions else 0
        return ALL if self.unfreeze == "none" else KEPT

    def kept(self, layers: int) -> int:
        """How many of so many transformer layers stay as they are."""
        if isinstance(self.unfreeze, int):
            return layers - self.unfreeze
        return layers if self.unfreeze == "none" else 0

    def _known(self, frontend: FrontendKnobs) -> Architecture:
        """The architecture, if a crop makes frames enough."""
        assert self.architecture is not None, "SSLKnobs.ready comes before build"
        found, least = self.architecture.frames(frontend.crop_samples), LEAST_FRAMES[self.back_end]
        if found < least:
            raise ConfigError(
                f"frontend.crop_s={frontend.crop_s} gives {max(0, found)} frames, and model.back_end={self.back_end} "
                f"needs {least}; raise it"
            )
        return self.architecture


class SSL(nn.Module):
    """Backbone, a learned sum over its hidden states, and a back-end.

    Shape:
        wave: (batch, samples) float32 in [-1, 1], 16 kHz -> (batch,) logits of bona fide
    """

    def __init__(self, knobs: SSLKnobs, architecture: Architecture, head: Head = "linear") -> None:
        super().__init__()
        layers = architecture.num_hidden_layers
        self.encoder = Encoder(
            architecture,
            normalise=bool(knobs.normalise),
            kept=knobs.kept(layers),
            frozen=knobs.frozen,
            dropout=knobs.backbone_dropout,
            layer_drop=knobs.layer_drop,
        )
        self.sum = LayerSum(layers + 1)
        self.back_end = BACK_ENDS[knobs.back_end](architecture.hidden_size, knobs.hidden, knobs.dropout, head)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the logits."""
        return self.back_end(self.sum(self.encoder(wave)))
