"""What a model folder must look like before anything heavy is imported.

A pickle checkpoint can run code while it is read, and a repository with code of its own runs it by design. Both are
refused here, from file names and config.json alone, with what to do instead.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelservice_runtime.errors import ModelNotFound, UnusableModel

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that passed the checks, with its config.json."""

    path: Path
    config: Mapping[str, Any]

    @property
    def architecture(self) -> str:
        """The first entry of `architectures`, or an empty string."""
        names = self.config.get("architectures") or [""]
        return str(names[0])

    @property
    def size_bytes(self) -> int:
        """Bytes of the weights."""
        return sum(file.stat().st_size for file in self.path.glob("*.safetensors"))

    @property
    def checkpoint_dtype(self) -> str:
        """The dtype that config.json states, or an empty string."""
        return str(self.config.get("dtype") or self.config.get("torch_dtype") or "").removeprefix("torch.")


def open_folder(path: Path, *, trust_remote_code: bool) -> ModelFolder:
    """Check a model folder and read its config.json.

    Raises ModelNotFound when there is no such folder, UnusableModel when it cannot be served.
    """
    if not path.is_dir():
        raise ModelNotFound(f"model.path: there is no folder {path}", hint="name a folder in the hub's layout")
    config = read_json(path / "config.json")
    if config is None:
        raise UnusableModel(f"model.path: {path} has no config.json", hint="put a model in the hub's layout there")
    _refuse_pickles(path)
    _refuse_remote_code(config, trust_remote_code)
    return ModelFolder(path, config)


def require_tokenizer(folder: ModelFolder) -> None:
    """Raise UnusableModel when no known tokenizer file is there."""
    if not any((folder.path / name).is_file() for name in TOKENIZERS):
        raise UnusableModel(
            f"model.path: {folder.path} has no tokenizer (looked for {', '.join(TOKENIZERS)})",
            hint="add the tokenizer's files of the model; transformers' tokenizer.save_pretrained writes them",
        )


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object, None when there is no such file. Raises UnusableModel when it is something else."""
    content = _parse(path)
    if content is not None and not isinstance(content, dict):
        raise UnusableModel(f"{path} must hold a JSON object, not {type(content).__name__}")
    return content


def read_json_list(path: Path) -> list[dict[str, Any]] | None:
    """Read a JSON list of objects, None when there is no such file. Raises UnusableModel when it is something else."""
    content = _parse(path)
    if content is not None and not (isinstance(content, list) and all(isinstance(item, dict) for item in content)):
        raise UnusableModel(f"{path} must hold a JSON list of objects")
    return content


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UnusableModel(f"{path} cannot be read as JSON: {error}") from None


def _refuse_pickles(path: Path) -> None:
    if any(path.glob("*.safetensors")):
        return
    pickles = sorted(file.name for pattern in PICKLES for file in path.glob(pattern))
    if pickles:
        raise UnusableModel(
            f"model.path: {path} holds {pickles[0]} but no *.safetensors; pickle files can run code and are not read",
            hint="convert it: load it where you trust it and call save_pretrained(..., safe_serialization=True)",
        )
    raise UnusableModel(f"model.path: {path} holds no *.safetensors", hint="add the weights as safetensors")


def _refuse_remote_code(config: Mapping[str, Any], trust_remote_code: bool) -> None:
    if config.get("auto_map") and not trust_remote_code and not config.get("model_type"):
        raise UnusableModel(
            "config.json names Python code of the repository (auto_map) and no model_type that transformers knows",
            hint="use a model with a native architecture, or set model.trustRemoteCode if you trust its author",
        )
