"""Linear layers that multiply in 8 bits, weights and activations, on CPUs: `engine.quantization: int8` there.

Weights have one scale for each output, and each row of activations has its own, found when it comes (Dettmers et al.
2022, without the exception for outliers): what else is in the batch never changes a row. oneDNN multiplies unsigned by
signed numbers, so activations are moved up; how they are divided before is kept out of its sight by a scale of 1, and
undone on what it gives. Layers that read the same inputs share what was made of them.

Turning activations costs passes over inputs and outputs, the product saves more the larger the weight is. So layers
below `SMALLEST` stay as they are, and so does the head of a decoder, whose rounding would show in every token.

A CPU without VNNI adds two products up in 16 bits, where they overflow. There activations have 7 bits, at a price in
accuracy. The operators are not documented: whether they compute what they should is tried, once with the numbers that
overflow first, and for each layer against the plain product.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.packed_linear import PackedWeight, let_go_of_files

logger = logging.getLogger(__name__)

SMALLEST = {torch.float32: 100_000, torch.bfloat16: 500_000}
"""The fewest weights of a layer with which 8 bits were measured to gain over packed weights of a dtype."""
TOLERANCE = 0.05
"""How far a layer may be from the plain product: the norm of what differs by that of the product."""
MOST = 127
"""The largest number that stands for a weight, of either sign."""
TINY = 1e-20
PROBE_SIZE, PROBE_ROWS = 128, 8
SIBLINGS = (
    ("q_proj", "k_proj", "v_proj"), ("query", "key", "value"), ("q_lin", "k_lin", "v_lin"), ("gate_proj", "up_proj"),
)  # fmt: skip
"""Names of layers of one module that read the same tensor, one right after the other."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that stand for activations: up to `most` on either side of `middle`, which stands for zero."""

    bits: int

    @property
    def middle(self) -> int:
        """The number that stands for zero."""
        return 1 << (self.bits - 1)

    def quantize(self, inputs: Any) -> tuple[Any, Any]:
        """Return rows [..., inputs] as unsigned 8-bit numbers, and the scale of each [..., 1]."""
        most, values = self.middle - 1, inputs.float()
        largest = values.abs().amax(-1, keepdim=True).clamp_(min=TINY)
        signed = (values * (most / largest)).round_().to(torch.int8)  # torch is slow at making unsigned ones
        return signed.view(torch.uint8).add_(self.middle), largest.mul_(1 / most)


RANGES = (Range(8), Range(7))


class Int8Weight:
    """A weight [outputs, inputs] in 8 bits, in oneDNN's order, for activations in a range."""

    def __init__(self, weight: Any, activations: Range) -> None:
        self.shape, self.dtype, self.activations = weight.shape, weight.dtype, activations
        values = weight.float()
        self._scales = values.abs().amax(1).clamp_(min=TINY) / MOST
        self._zeros = torch.zeros(len(values), dtype=torch.int32)
        self._packed = prepack((values / self._scales[:, None]).round_().to(torch.int8))

    def multiply(self, rows: Any, scales: Any) -> Any:
        """Return the product, as float32, for quantized rows [..., inputs] and the scale of each [..., 1]."""
        if not rows.numel():
            return scales * self._scales
        if rows.dim() == 1:
            return self.multiply(rows[None], scales)[0]
        return multiply(rows, self.activations.middle, self._packed, self._scales, self._zeros).mul_(scales)

    def to_dense(self) -> Any:
        """Return the weight that the 8 bits stand for, in the usual order."""
        return self.multiply(*self.activations.quantize(torch.eye(self.shape[1]))).T.to(self.dtype)


class SharedRows:
    """What was made of the inputs of layers that read the same ones; it is dropped when all `readers` had it."""

    def __init__(self) -> None:
        self.readers = 0
        self._left = 0
        self._inputs: Any = None
        self._made: Any = None

    def quantize(self, inputs: Any, activations: Range) -> tuple[Any, Any]:
        """Return quantized rows and their scales, the same as last time when the tensor is the same."""
        made = self._made if inputs is self._inputs else None
        if made is None:
            made = activations.quantize(inputs)
            self._left = self.readers
        self._left -= 1
        self._inputs, self._made = (inputs, made) if self._left > 0 else (None, None)
        return made


class Int8Linear(torch.nn.Linear):  # type: ignore[misc]  # torch is not typed here
    """A linear layer in 8 bits; what is not trained, but may be asked for the slope of its inputs."""

    def __init__(self, weight: Int8Weight, bias: Any, shared: SharedRows) -> None:
        torch.nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.weight = torch.nn.Parameter(PackedWeight(weight), requires_grad=False)
        added = None if bias is None else bias.detach().clone()
        self.bias = None if added is None else torch.nn.Parameter(added, requires_grad=False)
        self._weight, self._added = weight, added
        self._shared = shared
        shared.readers += 1

    def forward(self, inputs: Any) -> Any:
        """Return the product for inputs [..., inputs], in their dtype."""
        if inputs.requires_grad and torch.is_grad_enabled():
            return _Sloped.apply(inputs, self._weight, self._added)
        rows, scales = self._shared.quantize(inputs, self._weight.activations)
        return _finish(self._weight.multiply(rows, scales), self._added, inputs.dtype)


class _Sloped(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed here
    """The product, and the slope of its inputs, which explanations ask for: as if activations were not rounded."""

    @staticmethod
    def forward(ctx: Any, inputs: Any, weight: Int8Weight, bias: Any) -> Any:
        ctx.weight = weight
        return _finish(weight.multiply(*weight.activations.quantize(inputs)), bias, inputs.dtype)

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        return slope @ ctx.weight.to_dense(), None, None


def prepack(eights: Any) -> Any:
    """Return signed 8-bit weights [outputs, inputs] in oneDNN's order. Raises RuntimeError where it has none."""
    return torch.ops.onednn.qlinear_prepack.default(eights, None)


def multiply(rows: Any, middle: int, packed: Any, scales: Any, zeros: Any) -> Any:
    """Return the product, as float32, of unsigned 8-bit rows [..., inputs] whose zero is `middle` and packed weights.

    `scales` and `zeros` are those of the outputs. Raises RuntimeError where the CPU cannot.
    """
    return torch.ops.onednn.qlinear_pointwise.default(
        rows, 1.0, middle, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )


def quantize_linears(model: Any) -> None:
    """Replace the linear layers of a model on a CPU by ones in 8 bits where that gains; their weights are freed.

    Raises UnusableModel when there is none.
    """
    outcomes: Counter[str] = Counter()
    heads = set(_heads(model))
    done: dict[int, Any] = {}
    for parent in list(model.modules()):
        groups: dict[Any, SharedRows] = {}
        for name, layer in list(parent._modules.items()):
            if type(layer) not in (torch.nn.Linear, Conv1D) or type(layer.weight) is not torch.nn.Parameter:
                continue
            if id(layer) not in done:
                shared = groups.setdefault(_group(name), SharedRows())
                done[id(layer)], outcome = _quantize(layer, shared, is_head=id(layer.weight) in heads)
                outcomes[outcome] += 1
            setattr(parent, name, done[id(layer)])
    del done
    if not outcomes["int8"]:
        reasons = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items() if count)
        raise UnusableModel(
            f"engine.quantization 'int8' gains nothing for this model on a CPU: of its linear layers are {reasons}",
            hint="set engine.quantization to none",
        )
    let_go_of_files(model)
    told = {"quantization": "int8", "activation_bits": choose_range().bits, "linear_layers": dict(outcomes)}
    logger.info("weights quantized", extra=told)


def find_obstacle() -> str:
    """Return why this machine cannot multiply in 8 bits, an empty string when it can."""
    return _try_ranges()[1]


def choose_range() -> Range:
    """Return the widest range of activations whose products this CPU computes rightly."""
    return _try_ranges()[0]


@lru_cache(maxsize=1)
def _try_ranges() -> tuple[Range, str]:
    """Try the operators once. The probe holds rows of the largest numbers, whose sums overflow first."""
    ramp = torch.linspace(-1, 1, PROBE_SIZE)
    rows = torch.stack([torch.ones(PROBE_SIZE), -torch.ones(PROBE_SIZE), ramp, ramp.mul(40).sin()])
    weight = rows.repeat(PROBE_SIZE // len(rows), 1)
    for activations in RANGES:
        try:
            found = Int8Weight(weight, activations).multiply(*activations.quantize(rows))
        except (RuntimeError, AttributeError, NotImplementedError) as error:
            return activations, " ".join(str(error).split())[:200]
        if _agrees(found, rows @ weight.T):
            return activations, ""
    return RANGES[-1], "the products of this CPU are wrong"


def _finish(product: Any, bias: Any, dtype: Any) -> Any:
    return (product if bias is None else product.add_(bias)).to(dtype)


def _quantize(layer: Any, shared: SharedRows, *, is_head: bool) -> tuple[Any, str]:
    """Return a layer in 8 bits and `int8`, or the layer itself and why it stays as it is."""
    weight = layer.weight.detach()
    if is_head:
        return layer, "head"
    if weight.numel() < SMALLEST.get(weight.dtype, 0):
        return layer, "small"
    if isinstance(layer, Conv1D):
        weight = weight.T.contiguous()
    made = Int8Weight(weight, choose_range())
    sample = torch.linspace(-99, 99, PROBE_ROWS * weight.shape[1]).sin().reshape(PROBE_ROWS, -1).to(weight.dtype)
    if not _agrees(made.multiply(*made.activations.quantize(sample)), torch.nn.functional.linear(sample, weight)):
        return layer, "differing from the plain product"
    return Int8Linear(made, layer.bias, shared), "int8"


def _agrees(found: Any, expected: Any) -> bool:
    """Tell whether a product is the expected one but for rounding."""
    return bool((found - expected.float()).norm() <= TOLERANCE * expected.float().norm().clamp(min=TINY))


def _heads(model: Any) -> Iterator[int]:
    """Yield the identities of weights that make tokens or are made of them."""
    yield from (id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding))
    head: Any = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if hasattr(head, "weight"):
        yield id(head.weight)


def _group(name: str) -> Any:
    """Return what layers of one module have in common that read the same inputs."""
    return next((names for names in SIBLINGS if name in names), name)
