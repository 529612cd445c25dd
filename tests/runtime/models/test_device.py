"""The device that the settings ask for is used or refused, by a stand-in for the driver."""

import pytest
import torch

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.resources import Resources
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models import device
from modelservice_runtime.models.device import Placement, choose_placement
from modelservice_runtime.models.quantization import Silicon

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(device, "read_silicon", lambda _device: Silicon("cuda", (8, 0)))


def place(count: int, checkpoint: str = "bfloat16", **engine: str) -> Placement:
    settings = Settings.model_validate({"accelerator": {"count": count}, "engine": engine})
    return choose_placement(settings, checkpoint, Resources(torch.get_num_threads(), 1 << 30))


def test_first_gpu_is_used_in_the_dtype_of_the_checkpoint() -> None:
    assert (place(1).device, place(1, "float16").dtype) == ("cuda:0", "float16")


def test_dtype_follows_the_quantization_when_it_is_auto() -> None:
    placement = place(1, "float16", quantization="int4")
    assert placement.dtype == "bfloat16"
    assert placement.scheme is not None


def test_model_is_refused_rather_than_left_on_one_gpu_when_several_were_asked_for() -> None:
    with pytest.raises(UnusableModel, match="count is 2") as refused:
        place(2)
    assert "spec.accelerator.count" in refused.value.hint


def test_quantization_is_refused_when_this_gpu_cannot_compute_it() -> None:
    with pytest.raises(UnusableModel, match=r"capability 8\.9, and this one has 8\.0"):
        place(1, quantization="fp8")
