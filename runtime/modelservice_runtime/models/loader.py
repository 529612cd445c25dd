"""Loading weights and tokenizers with transformers, turning its complaints into faults with a way out."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.utils import logging as transformers_logging

from modelservice_runtime.config import Settings
from modelservice_runtime.errors import CudaOutOfMemory, UnusableModel
from modelservice_runtime.models.accelerator import read_silicon
from modelservice_runtime.models.attention import settle_attention
from modelservice_runtime.models.device import Placement
from modelservice_runtime.models.folder import ModelFolder, foreign_code, require_tokenizer
from modelservice_runtime.models.int8_linear import quantize_linears
from modelservice_runtime.models.packed_linear import pack_linears
from modelservice_runtime.models.quantization import check_quantized, refuse_twice

logger = logging.getLogger(__name__)

SCALED_BY_LENGTH = ("dynamic", "longrope")
IMAGE_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def refuse_remote_code(folder: ModelFolder, settings: Settings) -> None:
    """Raise UnusableModel when the model needs Python code of its repository and nobody said that it is trusted.

    Code of another repository is never run: no revision of this one says what it is.
    """
    if settings.model.trust_remote_code and (foreign := foreign_code(folder.path)):
        raise UnusableModel(
            f"{folder.path} takes its code from another repository ({foreign}), which no revision of the model fixes",
            hint="copy that code into the model's repository and let auto_map name it there",
        )
    needs_code = folder.card.needs_remote_code and folder.config.get("model_type") not in CONFIG_MAPPING
    if needs_code and not settings.model.trust_remote_code:
        raise UnusableModel(
            f"{folder.path} needs Python code of its repository (auto_map in config.json), which is not run",
            hint="use a model of an architecture that transformers has, or set model.trustRemoteCode if you trust it",
        )


def load_tokenizer(folder: ModelFolder, settings: Settings, *, fast: bool = True) -> Any:
    """Load the tokenizer. Raises UnusableModel when there is none, or with `fast` none of the fast kind."""
    refuse_remote_code(folder, settings)
    require_tokenizer(folder)
    with explained(folder):
        tokenizer = AutoTokenizer.from_pretrained(
            folder.path, local_files_only=True, trust_remote_code=settings.model.trust_remote_code
        )
    if fast and not getattr(tokenizer, "is_fast", False):
        raise UnusableModel(
            f"the tokenizer of {folder.path} ({type(tokenizer).__name__}) has no fast form",
            hint="save it with transformers so that tokenizer.json is written",
        )
    return tokenizer


def load_processor(folder: ModelFolder, settings: Settings) -> Any:
    """Load the processor of a model that reads images and text, its image part in the form without torch.

    Raises UnusableModel when there is none.
    """
    refuse_remote_code(folder, settings)
    with explained(folder):
        processor = AutoProcessor.from_pretrained(
            folder.path, local_files_only=True, trust_remote_code=settings.model.trust_remote_code
        )
    processor.image_processor = load_image_processor(folder, settings)
    return processor


def load_image_processor(folder: ModelFolder, settings: Settings) -> Any:
    """Load what turns images into pixel values, in its form without torch. Raises UnusableModel when there is none."""
    refuse_remote_code(folder, settings)
    if not any((folder.path / name).is_file() for name in IMAGE_PROCESSORS):
        raise UnusableModel(
            f"{folder.path} does not say how images are prepared (looked for {', '.join(IMAGE_PROCESSORS)})",
            hint="add the file of the model; transformers' image_processor.save_pretrained writes it",
        )
    with explained(folder):
        return AutoImageProcessor.from_pretrained(
            folder.path, local_files_only=True, trust_remote_code=settings.model.trust_remote_code, backend="pil"
        )


def load_model(
    auto_class: Any, folder: ModelFolder, settings: Settings, placement: Placement, *, padding_only: bool = False
) -> Any:
    """Load the weights onto the device in the chosen dtype, in inference mode.

    `padding_only` tells that the model's masks hide padding and nothing else, which opens faster kinds of attention.

    Raises UnusableModel when transformers cannot build the model, when weights are missing, or CudaOutOfMemory.
    """
    refuse_remote_code(folder, settings)
    transformers_logging.disable_progress_bar()
    options: dict[str, Any] = {}
    if placement.scheme is not None:
        refuse_twice(placement.scheme, folder.quantization, folder.path)
        if placement.scheme.configure is not None:
            options["quantization_config"] = placement.scheme.configure(placement.torch_dtype)
    with explained(folder):
        model, report = auto_class.from_pretrained(
            folder.path,
            dtype=placement.torch_dtype,
            device_map=None if placement.device == "cpu" else placement.device,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=settings.model.trust_remote_code,
            output_loading_info=True,
            **options,
        )
    refuse_missing(report, folder, folder.card.architecture or "the model")
    if placement.scheme is not None and placement.scheme.package:
        check_quantized(model, placement.scheme)
    settle_attention(model, read_silicon(placement.device), placement.dtype, padding_only=padding_only)
    model.eval()
    model.requires_grad_(False)
    if placement.scheme is not None and not placement.scheme.package:
        quantize_linears(model)
    if placement.device == "cpu" and not settings.engine.compile:  # the compiler packs weights by itself
        pack_linears(model)
    return model


def count_parameters(model: Any) -> int:
    """Return the number of parameters, shared ones counted once and packed ones as many as they stand for."""
    if hasattr(model, "num_parameters"):
        return int(model.num_parameters())
    return sum(parameter.numel() for parameter in model.parameters())


def context_length(model: Any, settings: Settings) -> int:
    """Return the longest sequence that is served: the model's own limit, or the lower one that was asked for.

    Raises UnusableModel when the settings ask for more than the model was made for.
    """
    own = _own_context(model.config.get_text_config())
    wanted = settings.engine.max_context
    if wanted > own:
        raise UnusableModel(
            f"engine.max_context is {wanted}, the model was made for {own} tokens",
            hint=f"set engine.maxContext to {own} or less; 0 takes the model's own limit",
        )
    return wanted or own


def _own_context(config: Any) -> int:
    """Return the length that a model was made for.

    Some scale their positions by the length of the longest sequence beyond a length: rows of a batch would change one
    another, and what the cache holds would no longer fit. Those are served up to that length.
    """
    names = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length")
    stated = (getattr(config, name, None) for name in names)
    own = next((value for value in stated if isinstance(value, int) and value > 0), 2048)
    scaling = getattr(config, "rope_parameters", None) or {}
    if scaling.get("rope_type") in SCALED_BY_LENGTH:
        own = min(own, int(scaling.get("original_max_position_embeddings") or own))
    return own


def refuse_missing(report: Any, folder: ModelFolder, what: str) -> None:
    """Refuse a model whose weights are partly random: it would answer nonsense with confidence."""
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        raise UnusableModel(
            f"{folder.path} lacks the weights {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''} of {what}",
            hint="check model.task and that config.json belongs to these weights",
        )


@contextmanager
def explained(folder: ModelFolder, library: str = "transformers") -> Iterator[None]:
    """Turn what a library raises while it loads a model into UnusableModel or CudaOutOfMemory."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise CudaOutOfMemory(f"the weights of {folder.path} do not fit the accelerator: {error}") from error
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError, TypeError) as error:
        text = " ".join(str(error).split())[:500]
        raise UnusableModel(f"{library} cannot load {folder.path}: {type(error).__name__}: {text}") from error
