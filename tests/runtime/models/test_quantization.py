"""Quantization is honoured or refused: the decision for devices that are not here, and real loading on the CPU."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from modelservice_runtime.config import Settings
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.device import Placement
from modelservice_runtime.models.folder import open_folder
from modelservice_runtime.models.loader import count_parameters, load_model
from modelservice_runtime.models.quantization import Scheme, Silicon, choose_dtype, resolve_quantization
from tests.runtime.support.tiny_models import make_decoder

pytestmark = pytest.mark.torch

CPU = Silicon("cpu")
AMD = Silicon("cuda")
TURING, AMPERE, ADA, HOPPER = (Silicon("cuda", capability) for capability in ((7, 5), (8, 0), (8, 9), (9, 0)))
TOKENS = torch.arange(3, 43).reshape(2, 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_decoder(tmp_path_factory.mktemp("decoder"))


def scheme_for(name: str, silicon: Silicon = HOPPER) -> Scheme:
    scheme = resolve_quantization(name, silicon)
    assert scheme is not None
    return scheme


def load(folder: Path, scheme: Scheme | None) -> Any:
    return load_model(AutoModelForCausalLM, open_folder(folder), Settings(), Placement("cpu", "float32", scheme))


@pytest.mark.parametrize(
    ("name", "silicon"),
    [
        ("int8", TURING), ("int8", AMD), ("int4", AMPERE), ("fp8", ADA), ("fp8", HOPPER), ("bnb-int8", TURING),
        ("bnb-int8", CPU), ("bnb-nf4", AMD), ("bnb-nf4", CPU),
    ],
)  # fmt: skip
def test_scheme_is_found_where_it_can_be_computed(name: str, silicon: Silicon) -> None:
    assert scheme_for(name, silicon).name == name


def test_nothing_is_quantized_when_nobody_asked() -> None:
    assert resolve_quantization("none", HOPPER) is None


@pytest.mark.parametrize(
    ("name", "silicon", "words"),
    [
        ("int4", TURING, "compute capability 8.0, and this one has 7.5"),
        ("fp8", AMPERE, "compute capability 8.9, and this one has 8.0"),
        ("int4", AMD, "NVIDIA"),
        ("fp8", AMD, "NVIDIA"),
        ("int4", CPU, "accelerators only"),
        ("fp8", CPU, "accelerators only"),
        ("bnb-int8", Silicon("cuda", (7, 0)), "7.5"),
    ],
)
def test_scheme_is_refused_with_the_ones_that_work_when_the_device_cannot(
    name: str, silicon: Silicon, words: str
) -> None:
    with pytest.raises(UnusableModel) as refused:
        resolve_quantization(name, silicon)
    assert f"engine.quantization {name!r}" in str(refused.value)
    assert words in str(refused.value)
    assert "bnb-nf4" in refused.value.hint
    assert f" {name}," not in refused.value.hint


def test_scheme_is_refused_with_the_package_when_it_is_missing() -> None:
    with pytest.raises(UnusableModel, match="needs the package torchao") as refused:
        resolve_quantization("int8", HOPPER, is_installed=lambda package: package != "torchao")
    assert "modelservice[accelerated]" in refused.value.hint


def test_dtype_is_the_native_one_when_the_scheme_takes_it() -> None:
    assert choose_dtype(scheme_for("int8"), "auto", "float16") == "float16"
    assert choose_dtype(scheme_for("bnb-nf4"), "float32", "bfloat16") == "float32"


def test_dtype_follows_the_scheme_when_it_is_auto() -> None:
    assert choose_dtype(scheme_for("fp8"), "auto", "float16") == "bfloat16"


def test_dtype_is_refused_when_the_scheme_cannot_take_what_was_asked_for() -> None:
    with pytest.raises(UnusableModel, match="'int4' computes in bfloat16") as refused:
        choose_dtype(scheme_for("int4"), "float32", "bfloat16")
    assert "engine.dtype" in refused.value.hint


@pytest.mark.parametrize(("name", "error"), [("int8", 0.05), ("bnb-int8", 0.1), ("bnb-nf4", 0.8)])
def test_quantized_weights_agree_with_the_model_as_far_as_they_can(folder: Path, name: str, error: float) -> None:
    """torchao's int8 computes on a CPU too: what loads here is what loads on an accelerator."""
    plain, quantized = load(folder, None), load(folder, scheme_for(name))
    with torch.inference_mode():
        expected, found = plain(TOKENS).logits, quantized(TOKENS).logits
    assert 0 < float((found - expected).norm() / expected.norm()) < error
    assert count_parameters(quantized) == count_parameters(plain)


@pytest.mark.parametrize("name", ["int8", "bnb-int8", "bnb-nf4"])
def test_row_does_not_depend_on_its_batch_mates_when_quantized(folder: Path, name: str) -> None:
    """With LLM.int8()'s outliers, a column that one row makes large would be computed differently for all."""
    model = load(folder, scheme_for(name))
    with torch.inference_mode():
        model.get_input_embeddings().weight[TOKENS[1]] *= 50
        alone, together = model(TOKENS[:1]).logits, model(TOKENS).logits[:1]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_model_is_refused_when_none_of_its_layers_was_quantized(folder: Path) -> None:
    scheme = Scheme("int8", "torchao", lambda _dtype: None)
    with pytest.raises(UnusableModel, match="cannot take any of"):
        load(folder, scheme)
