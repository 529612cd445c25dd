"""Loading the parts of a Stable Diffusion pipeline, each with a class that is known here.

diffusers' own loader takes whatever classes `model_index.json` names, fills weights that are missing with random
numbers, and loads a safety checker when one is listed. Here the classes are a closed list, missing weights are refused,
and no safety checker is loaded: the log says so when the model comes with one.
"""

import logging
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import transformers

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.device import Placement
from modelservice_runtime.models.folder import ModelFolder
from modelservice_runtime.models.loader import explained, refuse_missing
from modelservice_runtime.models.packed_linear import pack_linears
from modelservice_runtime.sources.pipelines import parts_of
from modelservice_runtime.sources.variants import NOT_LOADED, choose_weights

logger = logging.getLogger(__name__)
diffusers: Any = import_module("diffusers")  # its names are made when they are asked for, so there is nothing to check

TEXT_ENCODERS = ("CLIPTextModel", "CLIPTextModelWithProjection")
PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "StableDiffusionPipeline": {
        "unet": ("UNet2DConditionModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": TEXT_ENCODERS,
        "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    },
    "StableDiffusionXLPipeline": {
        "unet": ("UNet2DConditionModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": TEXT_ENCODERS,
        "text_encoder_2": TEXT_ENCODERS,
        "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
        "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast"),
    },
}
PIPELINE_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "StableDiffusionPipeline": {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
    "StableDiffusionXLPipeline": {"add_watermarker": False},
}


def load_pipeline(folder: ModelFolder, placement: Placement) -> Any:
    """Load all parts onto the device and put the pipeline together.

    Raises UnusableModel for other pipelines, classes that are not known, and parts that are missing or incomplete.
    """
    name, parts = folder.card.architecture or "", parts_of(folder.config)
    _refuse_unknown(folder, name, parts)
    _tell_unloaded(folder)
    diffusers.utils.logging.disable_progress_bar()
    with explained(folder, "diffusers"):
        loaded = {part: _load_part(folder, part, parts[part][1], placement) for part in PARTS[name]}
        scheduler = getattr(diffusers, parts["scheduler"][1]).from_pretrained(
            folder.path / "scheduler", local_files_only=True
        )
        settings = {**PIPELINE_SETTINGS[name], **_stated_settings(folder, name)}
        return getattr(diffusers, name)(**loaded, scheduler=scheduler, **settings)


def _refuse_unknown(folder: ModelFolder, name: str, parts: Mapping[str, tuple[str, str]]) -> None:
    if folder.card.needs_remote_code:
        raise UnusableModel(
            f"{folder.path} needs Python code of its repository (model_index.json), which is not run for pipelines",
            hint="use a pipeline whose parts are classes of diffusers and transformers",
        )
    if name not in PARTS:
        raise UnusableModel(
            f"the pipeline {name or '(none in model_index.json)'} is not one that this runtime serves",
            hint=f"use one of {', '.join(PARTS)}",
        )
    schedulers = tuple(kind.name for kind in diffusers.schedulers.KarrasDiffusionSchedulers)
    known = {**PARTS[name], "scheduler": schedulers}
    for part, classes in known.items():
        found = parts.get(part, ("", "nothing"))[1]
        if found not in classes:
            raise UnusableModel(
                f"{folder.path} has {found} as its {part}; {name} is served with {' or '.join(classes)}",
                hint="check model_index.json",
            )


def _tell_unloaded(folder: ModelFolder) -> None:
    left = [name for name in NOT_LOADED if folder.config.get(name, [None])[0] is not None]
    if left:
        logger.warning("parts of the pipeline are not loaded, and pictures are not checked", extra={"parts": left})


def _load_part(folder: ModelFolder, part: str, class_name: str, placement: Placement) -> Any:
    path = folder.path / part
    if class_name.startswith("CLIPTokenizer"):
        return transformers.CLIPTokenizer.from_pretrained(path, local_files_only=True)
    library = transformers if class_name in TEXT_ENCODERS else diffusers
    files = [file.relative_to(folder.path).as_posix() for file in path.iterdir()]
    variant, _ = choose_weights(files)[part]
    kind = "dtype" if library is transformers else "torch_dtype"
    model, report = getattr(library, class_name).from_pretrained(
        path,
        use_safetensors=True,
        local_files_only=True,
        variant=variant or None,
        output_loading_info=True,
        **{kind: placement.torch_dtype},
    )
    refuse_missing(report, folder, class_name)
    model.eval()
    model.requires_grad_(False)
    model = model.to(placement.device)
    if placement.device == "cpu":
        pack_linears(model)
    return model


def _stated_settings(folder: ModelFolder, name: str) -> dict[str, Any]:
    """Return what model_index.json says about the pipeline itself."""
    zeros = folder.config.get("force_zeros_for_empty_prompt")
    return {"force_zeros_for_empty_prompt": bool(zeros)} if name.endswith("XLPipeline") and zeros is not None else {}
