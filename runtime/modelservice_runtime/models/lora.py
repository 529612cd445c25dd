"""Low-rank adapters (LoRA, Hu et al. 2021) beside one set of weights: each row of a batch has its own, or none.

An adapter adds `scale * B A x` to some linear layers. The products are computed for the rows that want them, in a hook
behind the layer, so the weights stay as they are and rows without an adapter are not touched. The folder is in the
layout of peft, `adapter_config.json` and `adapter_model.safetensors`; what changes a model in other ways than by these
products is refused.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers.pytorch_utils import Conv1D

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.folder import read_json

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TENSOR = re.compile(r"base_model\.model\.(?P<layer>.+)\.lora_(?P<part>[AB])\.weight")
UNSUPPORTED_KEYS = (
    "alora_invocation_tokens", "arrow_config", "layer_replication", "lora_bias", "modules_to_save",
    "target_parameters", "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora",
)  # fmt: skip
CHANGES_THE_BASE = ("corda", "loftq", "olora", "pissa")


@dataclass(frozen=True, slots=True)
class Delta:
    """What an adapter adds to one layer: `down` [rank, inputs], `up` [outputs, rank], scaled."""

    down: Any
    up: Any


@dataclass(slots=True)
class AdapterBank:
    """All adapters of a model, and which rows of the running forward pass use which.

    `groups` holds for each adapter in the batch the indices of its rows; None stands for the whole batch.
    """

    names: tuple[str, ...]
    rows: int = 0
    groups: list[tuple[str, Any]] = field(default_factory=list)

    def choose(self, names: Sequence[str], device: Any) -> None:
        """Say which adapter each row of the next pass uses; an empty name is none."""
        self.rows = len(names)
        distinct = sorted(set(names))
        if len(distinct) == 1:
            self.groups = [(distinct[0], None)] if distinct[0] else []
            return
        self.groups = [
            (name, torch.tensor([row for row, each in enumerate(names) if each == name], device=device))
            for name in distinct
            if name
        ]

    def attach(self, layer: Any, deltas: Mapping[str, Delta]) -> None:
        """Add the deltas to what a layer gives, row by row."""

        def add(_layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
            for name, index in self.groups:
                if (delta := deltas.get(name)) is None:
                    continue
                if index is None:
                    output = output + inputs[0] @ delta.down.T @ delta.up.T
                    continue
                if inputs[0].shape[0] != self.rows:
                    raise RuntimeError("a layer with adapters does not see one position of each row")
                added = inputs[0].index_select(0, index) @ delta.down.T @ delta.up.T
                output = output.index_add(0, index, added)
            return output

        layer.register_forward_hook(add)


def load_adapters(model: Any, folders: Mapping[str, str]) -> AdapterBank:
    """Read adapters by name and put them beside the layers of a model. Raises UnusableModel."""
    by_layer: dict[str, dict[str, Delta]] = {}
    for name, folder in folders.items():
        for layer, delta in _read_deltas(name, Path(folder), model).items():
            by_layer.setdefault(layer, {})[name] = delta
    bank = AdapterBank(tuple(folders))
    for layer, deltas in by_layer.items():
        bank.attach(model.get_submodule(layer), deltas)
    return bank


def _read_deltas(name: str, folder: Path, model: Any) -> dict[str, Delta]:
    """Return what an adapter adds to each layer. Raises UnusableModel when it does not belong to the model."""
    config = _read_config(name, folder)
    pairs: dict[str, dict[str, Any]] = {}
    for tensor_name, tensor in _read_tensors(name, folder).items():
        found = TENSOR.fullmatch(tensor_name)
        if found is None:
            raise _refusal(name, folder, f"it holds {tensor_name}, which is no low-rank product of a linear layer")
        pairs.setdefault(found["layer"], {})[found["part"]] = tensor
    if not pairs:
        raise _refusal(name, folder, "it holds no weights")
    deltas = {}
    for layer, pair in pairs.items():
        if problem := _find_problem(layer, pair, model):
            raise _refusal(name, folder, problem)
        scale = _scale(config, layer, pair["A"].shape[0])
        down, up = (part.to(model.device, torch.float32) for part in (pair["A"], pair["B"]))
        deltas[layer] = Delta(down.to(model.dtype), (up * scale).to(model.dtype))
    return deltas


def _read_config(name: str, folder: Path) -> dict[str, Any]:
    config = read_json(folder / CONFIG)
    if config is None:
        raise _refusal(name, folder, f"there is no {CONFIG}")
    if config.get("peft_type") != "LORA":
        raise _refusal(name, folder, f"it is of the kind {config.get('peft_type')!r}, and only LORA is supported")
    if unsupported := [key for key in UNSUPPORTED_KEYS if config.get(key)]:
        raise _refusal(name, folder, f"it uses {', '.join(unsupported)}, which is not supported")
    if config.get("bias", "none") != "none":
        raise _refusal(name, folder, "it changes biases, which is not supported")
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGES_THE_BASE):
        raise _refusal(name, folder, f"it was begun by {start}, which changes the model's own weights")
    if not _is_number(config.get("lora_alpha")) or not _are_patterns(config.get("alpha_pattern") or {}):
        raise _refusal(name, folder, f"{CONFIG} states no lora_alpha, or no valid alpha_pattern")
    return config


def _read_tensors(name: str, folder: Path) -> dict[str, Any]:
    if not (folder / WEIGHTS).is_file():
        raise _refusal(name, folder, f"there is no {WEIGHTS}")
    try:
        tensors: dict[str, Any] = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise _refusal(name, folder, f"{WEIGHTS} cannot be read: {error}") from None
    return tensors


def _find_problem(layer: str, pair: Mapping[str, Any], model: Any) -> str:
    """Return why a pair of matrices does not fit a layer of the model, an empty string when it does."""
    if set(pair) != {"A", "B"}:
        return f"of {layer} only one of two matrices is there"
    try:
        module = model.get_submodule(layer)
    except AttributeError:
        return f"the model has no layer {layer}"
    if not isinstance(module, torch.nn.Linear | Conv1D) or ".experts." in layer:
        return f"{layer} is a {type(module).__name__} that cannot be adapted row by row"
    inputs, outputs = (
        (module.nx, module.nf) if isinstance(module, Conv1D) else (module.in_features, module.out_features)
    )
    down, up = tuple(pair["A"].shape), tuple(pair["B"].shape)
    if not pair["A"].numel() or len(down) != 2 or len(up) != 2 or (down[1], up[0], up[1]) != (inputs, outputs, down[0]):
        return f"its matrices {down} and {up} do not fit {layer}, which takes {inputs} numbers and gives {outputs}"
    return ""


def _size(module: Any) -> tuple[int, int]:
    """Return how many numbers a layer takes and gives; packed weights have other shapes."""
    if isinstance(module, Conv1D):
        return module.nx, module.nf
    return module.in_features, module.out_features


def _scale(config: Mapping[str, Any], layer: str, rank: int) -> float:
    """Return the factor of the products as peft has it: a layer may have an alpha of its own."""
    alpha = _own_value(config.get("alpha_pattern") or {}, layer, config["lora_alpha"])
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _own_value(patterns: Mapping[str, Any], layer: str, default: Any) -> Any:
    return next((patterns[key] for key in _matching(patterns, layer) if _is_number(patterns[key])), default)


def _matching(patterns: Iterable[str], layer: str) -> Iterable[str]:
    return (key for key in patterns if re.match(rf"(.*\.)?({key})$", layer))


def _are_patterns(patterns: Any) -> bool:
    """Tell whether these are regular expressions for names of layers, as peft takes them."""
    try:
        return isinstance(patterns, dict) and all(re.compile(pattern) for pattern in patterns)
    except re.error:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refusal(name: str, folder: Path, problem: str) -> UnusableModel:
    return UnusableModel(
        f"model.adapters: the adapter {name!r} in {folder} cannot be served: {problem}",
        hint="name a folder that peft's save_pretrained wrote for a LoRA of this very model, or leave the adapter out",
    )
