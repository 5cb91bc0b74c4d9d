"""Recurrent layers as the nodes that ONNX has for them, which take any length; PyTorch would record every step.

ONNX orders the gates otherwise than PyTorch: update, reset, new in a GRU; input, output, forget, new in an LSTM.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

ORDERS = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}  # where PyTorch has the gates that ONNX expects


def with_nodes(network: nn.Module) -> nn.Module:
    """Replace all recurrent layers in a network, which can then be recorded but gives no numbers itself."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GRU | nn.LSTM):
                setattr(module, name, _Layers(child))
    return network


class _Layers(nn.Module):
    """Shape: (batch, steps, width) -> (batch, steps, directions · hidden), and no states."""

    def __init__(self, given: nn.GRU | nn.LSTM) -> None:
        super().__init__()
        assert given.batch_first
        assert given.bias
        self.kind, self.hidden = given.mode, given.hidden_size
        self.directions, self.layers = 1 + given.bidirectional, given.num_layers
        order = ORDERS[self.kind]
        for layer in range(self.layers):
            ends = [f"l{layer}", f"l{layer}_reverse"][: self.directions]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                parts = [getattr(given, f"{name}_{end}").detach().chunk(len(order)) for end in ends]
                ordered = [torch.cat([gates[gate] for gate in order]) for gates in parts]
                self.register_buffer(f"{name}_{layer}", torch.stack(ordered))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Record the nodes."""
        x = x.transpose(0, 1)  # (steps, batch, width)
        steps, batch = x.shape[:2]
        more = {"linear_before_reset": 1} if self.kind == "GRU" else {}
        direction = "bidirectional" if self.directions == 2 else "forward"
        for layer in range(self.layers):
            inner, outer, *biases = (
                self.get_buffer(f"{name}_{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            y = torch.onnx.ops.symbolic(
                self.kind,
                (x, inner, outer, torch.cat(biases, 1)),
                {"hidden_size": self.hidden, "direction": direction, **more},
                dtype=x.dtype,
                shape=(steps, self.directions, batch, self.hidden),
            )
            x = y.transpose(1, 2).flatten(2)
        return x.transpose(0, 1), None
