"""Compiled models answer as those that are not. Dynamo and the traced graphs are real, the machine code is left out,
because it needs a compiler that is not everywhere."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models import compiling, device
from modelservice_runtime.models.compiling import compile_blocks
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_adapters import make_adapter

pytestmark = pytest.mark.torch

TEXTS = ["the bear runs away", "red", "a server answers requests; every request has a prompt"]


@pytest.fixture(autouse=True)
def _without_machine_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    compile_block = torch.nn.Module.compile
    monkeypatch.setattr(compiling.torch, "compile", partial(torch.compile, backend="aot_eager"))
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda module, **options: compile_block(module, backend="aot_eager", **options)
    )
    monkeypatch.setattr(device, "refuse_compiling", lambda _device: None)
    yield
    torch._dynamo.reset()


def test_classifier_answers_as_before_when_it_is_compiled(classifier_folder: Path) -> None:
    answers = []
    for compiled in (False, True):
        with running(classifier_folder, engine={"compile": compiled}) as server:
            answers.append([server.post("/v1/classify", input=texts).json()["data"] for texts in (TEXTS, TEXTS[:1])])
    for plain, made in zip(*answers, strict=True):
        for one, other in zip(plain, made, strict=True):
            assert [each["label"] for each in other["labels"]] == [each["label"] for each in one["labels"]]
            scores = [[each["score"] for each in found["labels"]] for found in (one, other)]
            assert scores[1] == pytest.approx(scores[0], abs=1e-4)


def test_decoder_gives_the_same_logits_when_its_blocks_are_compiled(decoder_folder: Path) -> None:
    plain, compiled = (AutoModelForCausalLM.from_pretrained(decoder_folder).eval() for _ in range(2))
    compile_blocks(compiled, "cuda:0")
    with torch.inference_mode():
        for ids in (torch.arange(5, 15)[None], torch.arange(5, 35).reshape(3, 10)):
            torch.testing.assert_close(compiled(ids).logits, plain(ids).logits, rtol=1e-4, atol=1e-4)


def test_compiling_is_refused_when_a_decoder_is_on_the_cpu(decoder_folder: Path) -> None:
    server = RunningServer(decoder_folder, engine={"compile": True})
    with pytest.raises(UnusableModel, match="decoders faster on a CPU"):
        server.wait_ready()
    server.join()


def test_compiling_is_refused_when_there_are_adapters(decoder_folder: Path, tmp_path: Path) -> None:
    naming = {"adapters": [{"name": "poet", "path": str(make_adapter(tmp_path, decoder_folder, seed=3))}]}
    server = RunningServer(decoder_folder, naming=naming, engine={"compile": True})
    with pytest.raises(UnusableModel, match="models with adapters are not compiled"):
        server.wait_ready()
    server.join()


def test_compiling_is_refused_when_the_task_does_not_know_it(classifier_folder: Path) -> None:
    server = RunningServer(classifier_folder, task="summarization", engine={"compile": True})
    with pytest.raises(UnusableModel, match="models for summarization are not compiled"):
        server.wait_ready()
    server.join()
