"""Turns pickled checkpoints into safetensors, without running what they may carry.

A pickle is a program: loading a hostile one runs its author's code. torch's restricted reader (`weights_only`) builds
tensors and plain containers and refuses every other instruction. Only this offline command uses it, and only when
`--convert-pickle` says so; the server never reads a pickle.
"""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.preparing.shards import ShardWriter

NESTED = ("state_dict", "model_state_dict", "module")
HEADS = ("lm_head.weight", "cls.predictions.decoder.weight")
HINT = "get the model as safetensors, or convert it with its author's own tools on a machine without secrets"


def convert_pickles(files: list[Path], folder: Path, most_bytes: int, *, tied: bool) -> None:
    """Write the tensors of pickled files into `folder` as safetensors.

    With `tied` a head that is the embedding itself is left out: transformers ties the two again when it loads them.
    Raises UnusableModel when a file is damaged, is no checkpoint, or wants to run code.
    """
    places = set()
    with ShardWriter(folder, most_bytes) as writer:
        for path in files:
            tensors = _tensors_of(path, _load(path))
            for name, tensor in sorted(tensors.items(), key=lambda each: each[0].endswith(HEADS)):
                place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape)
                if tied and name.endswith(HEADS) and place in places:
                    continue
                places.add(place)
                writer.add(name, tensor.detach().clone(memory_format=torch.contiguous_format))


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        reason = str(error).partition("WeightsUnpickler error:")[2].strip() or str(error)
        raise UnusableModel(
            f"{path} is not converted, it holds more than weights: {' '.join(reason.split())[:200]}", hint=HINT
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise UnusableModel(
            f"{path} is damaged or no checkpoint: {' '.join(str(error).split())[:200]}",
            hint="copy or download the file again; it may have been cut short",
        ) from None


def _tensors_of(path: Path, loaded: Any) -> Mapping[str, Any]:
    if isinstance(loaded, Mapping):
        nested = next((loaded[key] for key in NESTED if isinstance(loaded.get(key), Mapping)), loaded)
        tensors = {str(name): value for name, value in nested.items() if isinstance(value, torch.Tensor)}
        if tensors:
            return tensors
    raise UnusableModel(f"{path} holds no named tensors", hint="name a checkpoint that save_pretrained wrote")
