"""A self-supervised backbone in stages: waveform → the hidden states of all its layers.

The modules are those of `transformers`; what calls them is here, so that a stage is frozen, kept or trained on its own,
and nothing random happens but what the options ask for.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dfad.networks.architecture import Architecture

_EPSILON = 1e-7  # added to the variance of a clip, as the feature extractors of `transformers` do


class Convolutions(nn.Module):
    """The convolutional feature encoder, after the clip's own normalisation.

    Shape:
        wave: (batch, samples), 16 kHz -> (batch, frames, channels), 50 frames a second
    """

    def __init__(self, layers: nn.ModuleList, architecture: Architecture, normalise: bool) -> None:
        super().__init__()
        self.layers, self.architecture, self.normalise = layers, architecture, normalise

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the frames."""
        if self.normalise:
            variance, mean = torch.var_mean(wave, -1, correction=0, keepdim=True)
            wave = (wave - mean) / (variance + _EPSILON).sqrt()
        x = wave[:, None]
        for layer in self.layers:
            x = layer(x)
        return x.transpose(1, 2)

    def extra_repr(self) -> str:
        """All that the numbers depend on and the modules do not show: kept outputs are named by it."""
        return f"normalise={self.normalise}, {self.architecture}"


class Embedding(nn.Module):
    """What the first transformer layer sees: frames projected to its width, with their positions.

    Shape:
        (batch, frames, channels) -> (batch, 1, frames, width)
    """

    def __init__(self, projection: nn.Module, positions: nn.Module, norm: nn.Module | None, dropout: nn.Module) -> None:
        super().__init__()
        self.projection, self.positions, self.norm, self.dropout = projection, positions, norm, dropout

    def forward(self, frames: Tensor) -> Tensor:
        """Compute the zeroth hidden state."""
        x = self.projection(frames)
        x = x[0] if isinstance(x, tuple) else x  # beside it, what the quantiser of pretraining took
        x = x + self.positions(x)
        return self.dropout(self.norm(x) if self.norm else x)[:, None]


class Layers(nn.Module):
    """Some transformer layers on top of the hidden states below them.

    Shape:
        (batch, n, frames, width) -> (batch, n + layers, frames, width)

    Args:
        layers: in their order.
        norm: of the last hidden state, where this is its place.
        drop: probability that a layer is skipped in training (Fan, Grave and Joulin, ICLR 2020).
        bias: the attention of the very first layer, whose table of relative positions all layers of WavLM share.
    """

    def __init__(self, layers: nn.ModuleList, norm: nn.Module | None, drop: float, bias: Any = None) -> None:
        super().__init__()
        self.layers, self.norm, self.drop = layers, norm, drop
        self.bias = (bias,)  # a tuple, so that it is not registered a second time

    def forward(self, states: Tensor) -> Tensor:
        """Compute the hidden states."""
        if not self.layers:
            return states
        found, more = [*states.unbind(1)], self._more(states)
        for layer in self.layers:
            x = found[-1]
            after = layer(x, **more)
            after = after[0] if isinstance(after, tuple) else after
            if self.training and self.drop:  # computed all the same: several devices wait for each other's gradients
                after = torch.where(torch.rand((), device=x.device) < self.drop, x, after)
            found.append(after)
        if self.norm:
            found[-1] = self.norm(found[-1])
        return torch.stack(found, 1)

    def _more(self, states: Tensor) -> dict[str, Tensor]:
        (attention,) = self.bias
        if attention is None:
            return {}
        batch, _, frames, _ = states.shape
        return {"position_bias": attention.compute_bias(frames, frames).repeat(batch, 1, 1)}


class Encoder(nn.Module):
    """Four stages: convolutions, embedding, the layers that stay as they are, and those above, which are trained.

    What is frozen has no gradients and stays in eval mode whatever happens, but gradients pass through to the input.

    Args:
        architecture: of the backbone.
        normalise: whether clips are brought to zero mean and unit variance.
        kept: layers in the third stage.
        frozen: stages that are never trained, from the first on.
        dropout: in whatever is trained.
        layer_drop: probability that a trained layer is skipped.

    Shape:
        wave: (batch, samples) -> (batch, layers + 1, frames, width)
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        normalise: bool,
        kept: int,
        frozen: int,
        dropout: float = 0.0,
        layer_drop: float = 0.0,
    ) -> None:
        super().__init__()
        model: Any = architecture.model(dropout)
        inner, stable = model.encoder, architecture.do_stable_layer_norm
        first = inner.layers[0].attention if architecture.model_type == "wavlm" else None
        below = kept == len(inner.layers)  # the norm after the last layer goes with that
        self.frozen = frozen
        self.convolutions = Convolutions(model.feature_extractor.conv_layers, architecture, normalise)
        self.embedding = Embedding(
            model.feature_projection, inner.pos_conv_embed, None if stable else inner.layer_norm, inner.dropout
        )
        self.kept = Layers(inner.layers[:kept], inner.layer_norm if stable and below else None, 0.0, first)
        self.trained = Layers(
            inner.layers[kept:], inner.layer_norm if stable and not below else None, layer_drop, first
        )
        for stage in self.stages[:frozen]:
            stage.requires_grad_(False)
        self.train()

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The four."""
        return self.convolutions, self.embedding, self.kept, self.trained

    def forward(self, wave: Tensor) -> Tensor:
        """Compute all hidden states."""
        x = wave
        for stage in self.stages:
            x = stage(x)
        return x

    def train(self, mode: bool = True) -> Encoder:
        """Set the mode of all but the frozen stages."""
        super().train(mode)
        for stage in self.stages[: self.frozen]:
            stage.eval()
        return self

    def depths(self) -> list[list[nn.Parameter]]:
        """Trained parameters by depth: those of the topmost layer first, all that lies below the layers last."""
        layers = [*self.kept.layers, *self.trained.layers]
        groups = [[*layer.parameters()] for layer in reversed(layers)]
        groups[0] += [p for part in (self.kept, self.trained) if part.norm for p in part.norm.parameters()]
        groups.append([*self.convolutions.parameters(), *self.embedding.parameters()])
        return [[p for p in group if p.requires_grad] for group in groups]

    def pretrained(self) -> dict[str, Tensor]:
        """All its tensors, by the names that they have in `transformers`."""
        found = self.convolutions.layers.state_dict(prefix="feature_extractor.conv_layers.")
        found |= self.embedding.projection.state_dict(prefix="feature_projection.")
        found |= self.embedding.positions.state_dict(prefix="encoder.pos_conv_embed.")
        for norm in (self.embedding.norm, self.kept.norm, self.trained.norm):
            if norm:
                found |= norm.state_dict(prefix="encoder.layer_norm.")
        for number, layer in enumerate([*self.kept.layers, *self.trained.layers]):
            found |= layer.state_dict(prefix=f"encoder.layers.{number}.")
        return found
