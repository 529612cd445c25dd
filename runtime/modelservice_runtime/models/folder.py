"""What a model folder must look like before anything heavy is imported.

File names, config.json and the headers of the weights tell enough to refuse most of what cannot be served, with what to
do instead, seconds before torch would fail with less to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.sources.documents import parse_json
from modelservice_runtime.sources.inspect import ModelCard, inspect_folder, read_config

CHECKPOINT_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
CODE_NAMING_FILES = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that passed the checks, with its config.json and what the headers of its weights tell."""

    path: Path
    config: Mapping[str, Any]
    card: ModelCard

    @property
    def checkpoint_dtype(self) -> str:
        """The dtype of most weights as torch names it, or an empty string."""
        stated = self.config.get("dtype") or self.config.get("torch_dtype")
        return str(stated or CHECKPOINT_DTYPES.get(self.card.dtype or "", "")).removeprefix("torch.")

    @property
    def quantization(self) -> str:
        """The method by which the weights come quantized (`gptq`, `bitsandbytes`, ...), or an empty string."""
        stated = self.config.get("quantization_config")
        return str(stated.get("quant_method") or "an unnamed method") if isinstance(stated, dict) else ""


def open_folder(path: Path) -> ModelFolder:
    """Check a model folder and read its config.json and the headers of its weights.

    Raises ModelNotFound when there is no such folder, UnusableModel when it cannot be served.
    """
    card = inspect_folder(path)
    return ModelFolder(path, read_config(path), card)


def require_tokenizer(folder: ModelFolder) -> None:
    """Raise UnusableModel when no known tokenizer file is there."""
    if not any((folder.path / name).is_file() for name in TOKENIZERS):
        raise UnusableModel(
            f"{folder.path} has no tokenizer (looked for {', '.join(TOKENIZERS)})",
            hint="add the tokenizer's files of the model; transformers' tokenizer.save_pretrained writes them",
        )


def foreign_code(path: Path) -> str:
    """Return what in a folder refers to Python code of another repository, an empty string when nothing does."""
    maps = ((read_json(path / name) or {}).get("auto_map") for name in CODE_NAMING_FILES)
    references = (entry for named in maps if isinstance(named, dict) for entry in named.values())
    names = (name for entry in references for name in (entry if isinstance(entry, list) else [entry]))
    return next((name for name in names if isinstance(name, str) and "--" in name), "")


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
        return parse_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UnusableModel(f"{path} cannot be read as JSON: {error}") from None
