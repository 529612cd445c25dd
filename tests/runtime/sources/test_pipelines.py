"""Pipelines of diffusers are described from their parts, one copy of each part's weights is taken."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.sources.fetch import FetchRequest, fetch_model
from modelservice_runtime.sources.inspect import inspect_folder
from modelservice_runtime.sources.retry import Retry
from modelservice_runtime.sources.selection import select_files
from modelservice_runtime.sources.survey import inspect_model
from modelservice_runtime.sources.variants import choose_weights
from tests.runtime.sources.folders import ModelFolder
from tests.support.hub import Access, Hub

INDEX: dict[str, Any] = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "requires_safety_checker": True,
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
UNET, VAE = "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model"


def make_pipeline(path: Path, **changes: Any) -> ModelFolder:
    folder = ModelFolder(path).with_file("model_index.json", json.dumps({**INDEX, **changes}))
    for part in ("unet", "vae", "text_encoder"):
        (path / part).mkdir(exist_ok=True)
    return (
        folder.with_weights(f"{UNET}.safetensors", 500)
        .with_weights(f"{VAE}.safetensors", 200)
        .with_weights("text_encoder/model.safetensors", 100)
    )


def test_card_adds_up_the_parts_when_the_folder_holds_a_pipeline(tmp_path: Path) -> None:
    card = inspect_folder(make_pipeline(tmp_path).with_weights(f"{UNET}.fp16.safetensors", 500).path)
    assert (card.architecture, card.task, card.parameters) == ("StableDiffusionPipeline", "text-to-image", 800)
    assert not card.needs_remote_code


def test_task_is_unknown_when_the_pipeline_is_another(tmp_path: Path) -> None:
    card = inspect_folder(make_pipeline(tmp_path, _class_name="FluxPipeline").path)
    assert (card.architecture, card.task) == ("FluxPipeline", None)


@pytest.mark.parametrize(
    "changes",
    [{"unet": ["my_unet", "MyUNet"]}, {"_class_name": ["pipeline.py", "MyPipeline"]}],
)
def test_card_tells_of_remote_code_when_a_class_is_the_repositorys_own(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert inspect_folder(make_pipeline(tmp_path, **changes).path).needs_remote_code


def test_folder_is_refused_when_a_part_is_pickled(tmp_path: Path) -> None:
    folder = make_pipeline(tmp_path).with_file(f"{UNET}.bin", b"\x80\x04")
    (tmp_path / f"{UNET}.safetensors").unlink()
    with pytest.raises(UnusableModel, match=r"unet has no safetensors weights, only .*\.bin, which may run code"):
        inspect_folder(folder.path)


def test_folder_is_refused_when_a_part_is_missing(tmp_path: Path) -> None:
    folder = make_pipeline(tmp_path)
    (tmp_path / f"{VAE}.safetensors").unlink()
    with pytest.raises(UnusableModel, match="vae has no safetensors weights"):
        inspect_folder(folder.path)


def test_folder_is_refused_when_a_shard_of_a_part_is_missing(tmp_path: Path) -> None:
    folder = make_pipeline(tmp_path).with_weights(f"{UNET}-00001-of-00002.safetensors")
    (tmp_path / f"{UNET}.safetensors").unlink()
    with pytest.raises(UnusableModel, match="unet lacks 1 of 2"):
        inspect_folder(folder.path)


@pytest.mark.parametrize("content", ["[]", "nonsense"])
def test_folder_is_refused_when_its_index_is_no_object(tmp_path: Path, content: str) -> None:
    with pytest.raises(UnusableModel, match=r"model_index\.json"):
        inspect_folder(make_pipeline(tmp_path).with_file("model_index.json", content).path)


def test_plain_weights_are_preferred_and_shards_kept_together_when_there_are_variants() -> None:
    paths = [
        f"{UNET}.fp16.safetensors",
        f"{UNET}-00002-of-00002.safetensors",
        f"{UNET}-00001-of-00002.safetensors",
        f"{VAE}.fp16.safetensors",
        f"{VAE}.non_ema.safetensors",
        "safety_checker/model.safetensors",
    ]
    assert choose_weights(paths) == {
        "unet": ("", [paths[2], paths[1]]),
        "vae": ("fp16", [f"{VAE}.fp16.safetensors"]),
    }


def test_one_copy_of_a_pipeline_is_fetched_without_its_safety_checker() -> None:
    wanted = ["model_index.json", "tokenizer/vocab.json", f"{UNET}.safetensors", f"{VAE}.safetensors"]
    others = [
        "v1-5-pruned-emaonly.safetensors",
        f"{UNET}.bin",
        f"{UNET}.fp16.safetensors",
        "safety_checker/model.safetensors",
    ]
    assert select_files([*wanted, *others]) == tuple(sorted(wanted))


def test_pipeline_of_a_hub_is_described_and_fetched_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pipeline(tmp_path / "hub/acme/pipeline").with_weights(f"{UNET}.fp16.safetensors", 500)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with Hub(tmp_path / "hub", Access()) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        afar = inspect_model("hf://acme/pipeline", "", Retry())
        fetched = fetch_model(FetchRequest("hf://acme/pipeline", tmp_path / "model")).card
    assert (afar.task, afar.parameters, afar.size_bytes) == ("text-to-image", 800, fetched.size_bytes)
    assert not (tmp_path / f"model/{UNET}.fp16.safetensors").exists()
