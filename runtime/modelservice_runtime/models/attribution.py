"""How much each part of an input added to an answer.

All methods look at one function, `score`: from points in the space of the model's first continuous layer (embeddings of
tokens, pixels) to one number each. An attribution compares the input with a baseline, a point that says nothing.

- gradient: the slope at the input times the way from the baseline; one backward pass, a first-order guess.
- integrated gradients (Sundararajan et al., 2017; captum): the slope along the straight line from the baseline, so that
  the parts add up to the difference of the two scores. What is missing is reported as the convergence delta.
- occlusion (Zeiler and Fergus, 2014): what the score loses when a region is replaced by the baseline.
- attention rollout (Abnar and Zuidema, 2020): how much of each position reaches the one that is read out; it has no
  sign and no baseline, and tells where the model looked rather than why it decided.

The methods are generators that yield between short pieces of work, see `engine.piecewise_scheduler`. Gradients are
enabled inside a piece only. captum takes a second to import, so it is imported with the first explanation.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

Score = Callable[[Any], Any]
SEGMENT_STEPS = 4


@dataclass(frozen=True, slots=True)
class Attribution:
    """`values` has the shape of the point without its first dimension; `delta` is None where no sum is promised."""

    values: Any
    delta: float | None = None


Piece = Generator[None, None, Attribution]


def attribute_gradient(score: Score, point: Any, baseline: Any) -> Piece:
    """Attribute by the slope at the point [1, ...]."""
    from captum.attr import Saliency  # type: ignore[import-untyped]  # noqa: PLC0415

    yield
    with torch.enable_grad():
        slope = Saliency(score).attribute(point.clone().requires_grad_(), abs=False)
    return Attribution((slope * (point - baseline)).detach()[0])


def attribute_integrated(score: Score, point: Any, baseline: Any, steps: int) -> Piece:
    """Attribute by the slopes at `steps` points on the line from the baseline [1, ...] to the point [1, ...].

    The line is cut into segments, each integrated by itself: integrals add up, and others are served in between.
    """
    from captum.attr import IntegratedGradients  # noqa: PLC0415

    method, way = IntegratedGradients(score), point - baseline
    total = torch.zeros_like(point)
    segments = max(1, steps // SEGMENT_STEPS)
    for segment in range(segments):
        yield
        begin, end = (baseline + way * (at / segments) for at in (segment, segment + 1))
        with torch.enable_grad():
            part = method.attribute(end, begin, n_steps=SEGMENT_STEPS, internal_batch_size=SEGMENT_STEPS)
        total += part.detach()
    with torch.no_grad():
        expected = score(point) - score(baseline)
    return Attribution(total[0], float(total.double().sum() - expected.double().sum()))


def attribute_occlusion(score: Score, point: Any, baseline: Any, regions: Sequence[Any], rows: int) -> Piece:
    """Attribute by replacing regions (masks that broadcast to [1, ...]), `rows` of them in one forward pass.

    What is lost without a region is spread evenly over it.
    """
    values = torch.zeros(torch.broadcast_shapes(*(region.shape for region in regions)), device=point.device)
    with torch.no_grad():
        whole = score(point)
    for at in range(0, len(regions), rows):
        yield
        batch = regions[at : at + rows]
        with torch.no_grad():
            lost = whole - score(torch.cat([torch.where(region, baseline, point) for region in batch]))
        for region, loss in zip(batch, lost, strict=True):
            values += region * (loss / region.sum())
    return Attribution(values[0])


def roll_out(attentions: Sequence[Any], position: int) -> Any:
    """Return how much of each position reaches `position` through all layers; attentions are [1, heads, n, n]."""
    size = attentions[0].shape[-1]
    identity = torch.eye(size, device=attentions[0].device)
    flow = identity
    for layer in attentions:
        mixed = layer[0].float().mean(dim=0) + identity  # the residual connection carries as much as attention does
        flow = (mixed / mixed.sum(dim=-1, keepdim=True)) @ flow
    return flow[position]


@contextmanager
def visible_attention(model: Any) -> Iterator[None]:
    """Make a model compute its attention in the way that keeps the weights; fused kernels do not."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def shows_attention(model: Any) -> bool:
    """Tell whether `visible_attention` works for an architecture."""
    return bool(model._supports_attention_backend and model._can_set_attn_implementation())


def log_odds(logits: Any, index: int) -> Any:
    """Return ln(p / (1 - p)) of one class of a softmax [rows]: unlike p it does not saturate for a sure model."""
    others = torch.cat([logits[:, :index], logits[:, index + 1 :]], dim=-1)
    return logits[:, index] - others.logsumexp(dim=-1)
