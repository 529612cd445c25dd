"""Which layers and heads a model misses least, measured on samples.

A layer's influence is how far it turns its input: 1 minus the cosine of what goes in and what comes out, the mean over
all tokens (Men et al. 2024, ShortGPT). A head's importance is the mean over samples of |A . dL/dA| for its output A and
the loss L of predicting the next token (Michel et al. 2019); heads that share keys and values are judged together.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from modelservice_runtime.config import load_settings
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.folder import ModelFolder
from modelservice_runtime.preparing.readers import Reader, open_reader
from modelservice_runtime.preparing.requests import media_of
from modelservice_runtime.preparing.samples import collect_samples
from modelservice_runtime.preparing.structure import Heads
from modelservice_runtime.tasks.base import resolve_task

STACKS = ("layers", "layer", "h")


def open_judged(folder: ModelFolder, samples: Any) -> Reader:
    """Load a model in float32 with its samples. Raises RuntimeFault."""
    settings = load_settings({"engine": {"quantization": "none", "dtype": "float32"}})
    info = resolve_task(settings.model.task, folder)
    reader = open_reader(info.name, folder, settings, collect_samples(samples, media_of(info)))
    if reader is None:
        raise UnusableModel(f"models for {info.name} cannot be judged on samples", hint="name layers by --drop-layers")
    return reader


def measure_layers(reader: Reader, count: int) -> list[float]:
    """Return the influence of each layer."""
    layers = _stack_of(reader.model, count)
    turned: dict[int, list[float]] = defaultdict(list)

    def watch(index: int) -> Any:
        def note(_module: Any, given: Any, made: Any) -> None:
            before, after = given[0].float(), (made[0] if isinstance(made, tuple) else made).float()
            turned[index].append(1 - float(torch.nn.functional.cosine_similarity(before, after, dim=-1).mean()))

        return note

    hooks = [layer.register_forward_hook(watch(index)) for index, layer in enumerate(layers)]
    reader.logits()
    for hook in hooks:
        hook.remove()
    return [sum(turned[index]) / len(turned[index]) for index in range(count)]


def measure_heads(reader: Reader, count: int, heads: Heads) -> list[list[float]]:
    """Return, for each layer, the importance of each group of heads."""
    layers = _stack_of(reader.model, count)
    seen: dict[int, Any] = {}

    def watch(index: int) -> Any:
        def keep(_module: Any, given: Any) -> Any:
            states = given[0] if given[0].requires_grad else given[0].detach().requires_grad_()
            states.retain_grad()
            seen[index] = states
            return (states,)

        return keep

    hooks = [layer.self_attn.o_proj.register_forward_pre_hook(watch(index)) for index, layer in enumerate(layers)]
    totals = torch.zeros(count, heads.groups)
    for feed in reader.feeds:
        with torch.enable_grad():
            reader.model(**feed, labels=feed["input_ids"]).loss.backward()
        for index, states in seen.items():
            products = (states * states.grad).detach().sum(dim=(0, 1)).view(heads.count, heads.size).sum(dim=1)
            totals[index] += products.abs().view(heads.groups, heads.shared).sum(dim=1)
    for hook in hooks:
        hook.remove()
    found: list[list[float]] = (totals / max(len(reader.feeds), 1)).tolist()
    return found


def least(values: Sequence[float], count: int) -> tuple[int, ...]:
    """Return the places of the smallest values, in order of their places."""
    return tuple(sorted(sorted(range(len(values)), key=lambda place: values[place])[:count]))


def _stack_of(model: Any, count: int) -> Any:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count and name.split(".")[-1] in STACKS:
            return module
    raise UnusableModel(f"{type(model).__name__} has no stack of {count} layers", hint="name layers by --drop-layers")
