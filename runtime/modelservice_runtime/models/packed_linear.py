"""Linear layers with weights in the order in which oneDNN multiplies, on CPUs.

A plain linear layer hands its weight over row by row, and the library puts it in order again in every pass, or uses a
slower kernel that needs none. Compilers avoid that by two operators of torch, which work without a compiler as well.
What they gain depends on the dtype and the number of rows, so small layers stay as they are (`SMALLEST`).

The operators are not documented. Whether they work here is therefore tried: for each dtype once, as CPUs without
AVX-512 refuse bfloat16, and for each layer against the plain product. A layer that does not pass stays as it is.
"""

import logging
from collections import Counter
from functools import lru_cache
from typing import Any

import torch
from torch.utils._pytree import tree_map_only
from transformers.pytorch_utils import Conv1D

logger = logging.getLogger(__name__)

SMALLEST = {torch.float32: 1 << 16, torch.bfloat16: 1 << 14}
"""The fewest weights of a layer with which packing was measured to gain, by dtype; other dtypes are not packed."""
LARGEST_SHARED_BYTES = 256 << 20
"""A weight that an embedding reads too must stay beside its packed copy; above this it is not worth the memory."""
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
PROBE_SIZE, PROBE_ROWS = 64, 4


class PackedWeight(torch.Tensor):  # type: ignore[misc]  # torch is not typed here
    """Stands for a weight that exists in packed form only: its shape, its dtype, and its values on demand.

    Some architectures multiply by `layer.weight` themselves; from the first time on a plain copy is kept for them.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, packed: Any) -> "PackedWeight":
        """Make a tensor without storage of its own."""
        made: PackedWeight = torch.Tensor._make_wrapper_subclass(cls, packed.shape, dtype=packed.dtype)
        return made

    def __init__(self, packed: Any) -> None:
        super().__init__()
        self.packed = packed
        self._plain: Any = None

    def plain(self) -> Any:
        """Return the weight [outputs, inputs] in the usual order, and keep it."""
        if self._plain is None:
            self._plain = self.packed.to_dense()
        return self._plain

    @classmethod
    def __torch_dispatch__(cls, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute anything with the plain weight."""
        if function is torch.ops.aten.detach.default:
            return cls(args[0].packed)
        args, kwargs = tree_map_only(cls, cls.plain, (args, kwargs or {}))
        return function(*args, **kwargs)


class PackedLinear(torch.nn.Linear):  # type: ignore[misc]  # torch is not typed here
    """A linear layer over a packed weight; what is not trained, but may be asked for the slope of its inputs."""

    def __init__(self, packed: Any, bias: Any, plain: Any = None) -> None:
        """Take a packed weight and a bias; `plain` is the weight's parameter where others need it too."""
        torch.nn.Module.__init__(self)
        self.out_features, self.in_features = packed.shape
        self.weight = torch.nn.Parameter(PackedWeight(packed), requires_grad=False) if plain is None else plain
        added = None if bias is None else bias.detach().clone()
        self.bias = None if added is None else torch.nn.Parameter(added, requires_grad=False)
        # plain attributes: a module finds its parameters slower, and a small layer takes microseconds
        self._packed, self._added = packed, added
        self._multiply = torch.ops.mkldnn._linear_pointwise.default

    def forward(self, inputs: Any) -> Any:
        """Return the product for inputs [..., inputs] of the weight's dtype."""
        if inputs.requires_grad and torch.is_grad_enabled():
            return _Sloped.apply(inputs, self._packed, self._added)
        return self._multiply(inputs, self._packed, self._added, "none", [], "")


class _Sloped(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed here
    """The product, and the slope of its inputs, which explanations ask for."""

    @staticmethod
    def forward(ctx: Any, inputs: Any, packed: Any, bias: Any) -> Any:
        ctx.packed = packed
        return torch.ops.mkldnn._linear_pointwise.default(inputs, packed, bias, "none", [], "")

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        return slope @ ctx.packed.to_dense(), None, None


def pack_linears(model: Any) -> None:
    """Replace the linear layers of a model on a CPU by packed ones where that gains; their weights are freed."""
    outcomes: Counter[str] = Counter()
    embedded = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    done: dict[int, Any] = {}
    for parent in list(model.modules()):
        for name, layer in list(parent._modules.items()):
            if type(layer) not in (torch.nn.Linear, Conv1D) or type(layer.weight) is not torch.nn.Parameter:
                continue
            if id(layer) not in done:
                done[id(layer)], outcome = _pack(layer, shared=id(layer.weight) in embedded)
                outcomes[outcome] += 1
            setattr(parent, name, done[id(layer)])
    del done
    if outcomes["packed"]:
        let_go_of_files(model)
    if outcomes:
        logger.info("linear layers packed", extra={"linear_layers": dict(outcomes)})


@lru_cache(maxsize=8)
def find_obstacle(dtype: Any) -> str:
    """Return why weights of a dtype cannot be packed on this machine, an empty string when they can; tried once."""
    if dtype not in SMALLEST:
        return f"{dtype} is not packed"
    if not torch.backends.mkldnn.is_available():
        return "this torch has no oneDNN"
    weight = torch.linspace(-1, 1, PROBE_SIZE * PROBE_SIZE).reshape(PROBE_SIZE, PROBE_SIZE).to(dtype)
    try:
        packed = reorder(weight)
        restored = bool(torch.equal(packed.to_dense(), weight))
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        return " ".join(str(error).split())[:200]
    return "" if restored else "a packed weight does not come back as it was"


def reorder(weight: Any) -> Any:
    """Return a weight [outputs, inputs] in oneDNN's order. Raises RuntimeError where the CPU cannot multiply by it."""
    return torch.ops.mkldnn._reorder_linear_weight(weight, None)


def _pack(layer: Any, *, shared: bool) -> tuple[Any, str]:
    """Return a packed layer and `packed`, or the layer itself and why it stays as it is."""
    dtype, weight = layer.weight.dtype, layer.weight.detach()
    if obstacle := find_obstacle(dtype):
        return layer, obstacle
    if weight.numel() < SMALLEST[dtype]:
        return layer, "small"
    if shared and weight.numel() * weight.element_size() > LARGEST_SHARED_BYTES:
        return layer, "shared with an embedding"
    if isinstance(layer, Conv1D):
        weight = weight.T.contiguous()
    packed = PackedLinear(reorder(weight), layer.bias, layer.weight if shared else None)
    return (packed, "packed") if _agrees(packed, weight) else (layer, "differs from the plain product")


def _agrees(packed: PackedLinear, weight: Any) -> bool:
    """Tell whether a packed layer computes what the plain one does, but for rounding."""
    sample = torch.linspace(-1, 1, PROBE_ROWS * weight.shape[1]).sin().reshape(PROBE_ROWS, -1).to(weight.dtype)
    plain = torch.nn.functional.linear(sample, weight, packed.bias).float()
    worst = (packed(sample).float() - plain).abs().max()
    return bool(worst <= TOLERANCE[weight.dtype] * plain.abs().max().clamp(min=1e-6))


def let_go_of_files(model: Any) -> None:
    """Copy what is left of the weights, since each lies in a mapped file, which would stay in memory whole.

    Memory that torch did not allocate itself cannot be resized; that tells it, whether a storage is all of the file or
    only the part of one weight.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if type(tensor) is PackedWeight or tensor.device.type != "cpu":
            continue
        if not tensor.untyped_storage().resizable():
            tensor.data = tensor.data.clone()
