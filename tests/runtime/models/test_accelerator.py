"""What happens around the calls that need a GPU: transfers, the choice of attention, and compiling."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models import accelerator, attention
from modelservice_runtime.models.accelerator import send
from modelservice_runtime.models.attention import find_flash_problem, settle_attention
from modelservice_runtime.models.compiling import compile_blocks, refuse_compiling
from modelservice_runtime.models.quantization import Silicon
from tests.runtime.support.tiny_models import make_classifier

pytestmark = pytest.mark.torch

CPU, TURING, AMPERE = Silicon("cpu"), Silicon("cuda", (7, 5)), Silicon("cuda", (8, 0))


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was pinned, by a stand-in: without a driver memory cannot be."""
    seen: list[Any] = []

    def pin(tensor: Any) -> Any:
        seen.append(tensor)
        return tensor

    monkeypatch.setattr(accelerator, "pin", pin)
    return seen


def test_tensor_stays_where_it_is_when_the_device_is_the_cpu(pinned: list[Any]) -> None:
    tensor = torch.ones(2)
    assert send(tensor, "cpu") is tensor
    assert send(tensor, torch.device("cpu"), torch.bfloat16).dtype == torch.bfloat16
    assert pinned == []


def test_tensor_goes_from_pinned_memory_in_its_new_dtype_when_the_device_is_another(pinned: list[Any]) -> None:
    sent = send(torch.ones(2), torch.device("meta"), torch.float16)
    assert sent.device.type == "meta"
    assert [each.dtype for each in pinned] == [torch.float16]


def test_flash_attention_is_used_when_all_speaks_for_it() -> None:
    assert find_flash_problem(AMPERE, "bfloat16", lambda _package: True) == ""


@pytest.mark.parametrize(
    ("silicon", "dtype", "installed", "words"),
    [
        (CPU, "bfloat16", True, "accelerators only"),
        (TURING, "float16", True, "capability 8.0"),
        (AMPERE, "float32", True, "not float32"),
        (AMPERE, "bfloat16", False, "flash-attn"),
    ],
)
def test_flash_attention_is_left_out_for_a_reason(silicon: Silicon, dtype: str, installed: bool, words: str) -> None:
    assert words in find_flash_problem(silicon, dtype, lambda _package: installed)


def test_attention_stays_as_it_is_when_the_model_does_not_take_flash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(make_classifier(tmp_path))
    monkeypatch.setattr(attention, "is_installed", lambda _package: True)
    monkeypatch.setattr(attention, "find_flash_problem", lambda *_: "")
    with caplog.at_level(logging.INFO):
        assert settle_attention(model, AMPERE, "bfloat16", padding_only=True) == "sdpa"
    assert "does not take it" in caplog.records[-1].__dict__["no_flash_attention_because"]


@pytest.mark.parametrize(
    ("device", "compiler", "triton", "words"),
    [
        ("cpu", None, True, "needs a C\\+\\+ compiler, and"),
        ("cuda:0", None, True, "needs a C\\+\\+ compiler, and"),
        ("cuda:0", "/usr/bin/g++", False, "needs the package triton"),
    ],
)
def test_compiling_is_refused_when_something_is_missing(
    device: str, compiler: str | None, triton: bool, words: str
) -> None:
    with pytest.raises(UnusableModel, match=words) as refused:
        refuse_compiling(device, lambda _name: compiler, lambda _package: triton)
    assert "engine.compile" in refused.value.hint


def test_compiling_is_allowed_when_all_is_there() -> None:
    refuse_compiling("cpu", lambda _name: "/usr/bin/g++", lambda _package: False)
    refuse_compiling("cuda:0", lambda _name: "/usr/bin/g++", lambda _package: True)


def test_decoder_is_refused_when_none_of_its_blocks_is_known() -> None:
    with pytest.raises(UnusableModel, match="no feed-forward blocks"):
        compile_blocks(torch.nn.Sequential(torch.nn.Linear(2, 2)), "cuda:0")
