"""Trains a small model in pieces: a training that is cut off goes on from its checkpoint."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, LRScheduler, SequentialLR

SAVE_SECONDS = 60.0
REPORT_STEPS = 100


@dataclass(frozen=True)
class Plan:
    """How a model is trained: AdamW, a linear warm-up, then a decay to almost nothing, along a cosine or a line."""

    steps: int
    rate: float
    warm_up: int = 100
    weight_decay: float = 0.02
    decay: Literal["cosine", "linear"] = "cosine"

    def schedule(self, optimizer: torch.optim.Optimizer) -> LRScheduler:
        """Return the rate of each step."""
        if self.decay == "linear":
            return LambdaLR(
                optimizer, lambda step: min(1.0, (step + 1) / self.warm_up) * max(0.02, 1 - step / self.steps)
            )
        return SequentialLR(
            optimizer,
            [
                LinearLR(optimizer, 0.02, 1.0, total_iters=self.warm_up),
                CosineAnnealingLR(optimizer, self.steps - self.warm_up, self.rate / 100),
            ],
            [self.warm_up],
        )


def fit(model: nn.Module, loss_of: Callable[[int], Tensor], plan: Plan, checkpoint: Path, seconds: float) -> float:
    """Train until `plan.steps` are done or `seconds` have passed; `loss_of(step)` is the loss of that step's batch.

    Returns the seconds of all pieces together when the training is complete, else raises Unfinished.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=plan.rate, weight_decay=plan.weight_decay)
    schedule = plan.schedule(optimizer)
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    step, spent = _restore(parts, checkpoint)
    began = saved = time.monotonic()
    model.train()
    while step < plan.steps:
        loss = loss_of(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        step += 1
        now = time.monotonic()
        if step % REPORT_STEPS == 0:
            Console().print(f"step {step}/{plan.steps}  loss {loss.item():.3f}  {spent + now - began:.0f} s")
        if now - saved > SAVE_SECONDS or now - began > seconds or step == plan.steps:
            _save(parts, checkpoint, step, spent + now - began)
            saved = now
        if now - began > seconds and step < plan.steps:
            raise Unfinished(f"{step} of {plan.steps} steps are done; run the command again to go on")
    return spent + time.monotonic() - began


class Unfinished(Exception):  # noqa: N818 - named for the situation
    """The time was up before the training was complete."""


def _restore(parts: dict[str, Any], checkpoint: Path) -> tuple[int, float]:
    if not checkpoint.is_file():
        return 0, 0.0
    state = torch.load(checkpoint, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    if "chance" in state:
        torch.set_rng_state(state["chance"])
    return int(state["step"]), float(state["seconds"])


def _save(parts: dict[str, Any], checkpoint: Path, step: int, seconds: float) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    unfinished = checkpoint.with_suffix(".new")
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({**states, "step": step, "seconds": seconds, "chance": torch.get_rng_state()}, unfinished)
    unfinished.replace(checkpoint)
