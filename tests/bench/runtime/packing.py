"""Linear layers with weights in oneDNN's own layout: the ceiling that eager torch can reach on a CPU."""

from typing import Any

import torch
from torch import nn


class PackedLinear(nn.Module):
    """Computes what `nn.Linear` does, from a packed copy of its weight."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.out_features = linear.out_features
        self.bias = linear.bias
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)

    def forward(self, states: torch.Tensor) -> Any:
        """Multiply and add."""
        return torch.ops.mkldnn._linear_pointwise(states, self.packed, self.bias, "none", [], "")


def pack(model: nn.Module) -> bool:
    """Replace the linear layers of a model; False, and nothing changed, where the CPU cannot pack its dtype."""
    found = [(parent, name, child) for parent in model.modules() for name, child in parent.named_children()]
    linears = [(parent, name, child) for parent, name, child in found if type(child) is nn.Linear]
    try:
        packed = [PackedLinear(child) for _, _, child in linears]
    except RuntimeError:
        return False
    for (parent, name, _), layer in zip(linears, packed, strict=True):
        setattr(parent, name, layer)
    return True
