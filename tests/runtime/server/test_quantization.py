"""Models with quantized weights are served, and say so."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models import int8_linear
from tests.runtime.support.integers import multiply_wrongly, play_along, replace
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_adapters import make_adapter

pytestmark = pytest.mark.torch

NEW_TOKENS = 8
PROMPTS = ["the quick brown fox", "Paris", "a server answers requests; every request has a prompt"]


@pytest.fixture
def integers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Layers in 8 bits on any CPU, however small they are."""
    monkeypatch.setattr(int8_linear, "SMALLEST", dict.fromkeys(int8_linear.SMALLEST, 0))
    play_along(monkeypatch)
    yield
    int8_linear._try_ranges.cache_clear()


def greedy_texts(folder: Path, config: BitsAndBytesConfig) -> list[str]:
    """What transformers itself makes of the prompts, one by one."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=config)
    texts = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        made = model.generate(ids, max_new_tokens=NEW_TOKENS, do_sample=False)[0, ids.shape[1] :]
        texts.append(tokenizer.decode(made, skip_special_tokens=True))
    return texts


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("bnb-int8", BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)),
        ("bnb-nf4", BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")),
    ],
)
def test_greedy_text_is_that_of_the_same_weights_in_transformers(
    decoder_folder: Path, name: str, config: BitsAndBytesConfig
) -> None:
    with running(decoder_folder, engine={"quantization": name}) as server:
        body = server.post("/v1/completions", prompt=PROMPTS, max_tokens=NEW_TOKENS, temperature=0).json()
        metrics = server.admin.get("/metrics").text
        status = server.admin.get("/status").json()
    assert [choice["text"] for choice in body["choices"]] == greedy_texts(decoder_folder, config)
    assert f'quantization="{name}"' in metrics
    assert status["model"]["quantization"] == name


@pytest.mark.usefixtures("integers")
@pytest.mark.parametrize("name", ["bnb-int8", "int8"])
def test_classifier_is_served_and_explained_when_quantized(classifier_folder: Path, name: str) -> None:
    with running(classifier_folder, engine={"quantization": name}) as server:
        answer = server.post("/v1/classify", input=["the bear runs away"])
        body = {"instances": ["the bear runs away"], "parameters": {"method": "gradient"}}
        explained = server.http.post("/v1/models/tiny:explain", json=body)
    assert answer.status_code == 200
    assert explained.status_code == 200
    assert any(each["score"] for each in explained.json()["explanations"][0]["tokens"])


def test_model_is_refused_when_its_layers_are_too_narrow_for_the_scheme(classifier_folder: Path) -> None:
    server = RunningServer(classifier_folder, engine={"quantization": "bnb-nf4"})
    with pytest.raises(UnusableModel, match="32 inputs of a layer"):
        server.wait_ready()
    server.join()


@pytest.mark.usefixtures("integers")
@pytest.mark.parametrize("quantization", ["bnb-nf4", "int8"])
def test_adapter_stands_beside_quantized_weights(decoder_folder: Path, tmp_path: Path, quantization: str) -> None:
    adapter = make_adapter(tmp_path, decoder_folder, seed=3)
    naming = {"adapters": [{"name": "poet", "path": str(adapter)}]}
    with running(decoder_folder, naming=naming, engine={"quantization": quantization}) as server:
        texts = [
            server.http.post(
                "/v1/completions", json={"model": name, "prompt": "Paris", "max_tokens": 12, "temperature": 0}
            ).json()["choices"][0]["text"]
            for name in ("tiny", "poet")
        ]
    assert texts[0] != texts[1]


def test_model_is_refused_when_its_weights_are_quantized_already(decoder_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(decoder_folder, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq"}}))
    server = RunningServer(folder, engine={"quantization": "bnb-nf4"})
    with pytest.raises(UnusableModel, match="quantized by gptq already") as refused:
        server.wait_ready()
    server.join()
    assert "none" in refused.value.hint


@pytest.mark.usefixtures("integers")
def test_row_in_8_bits_does_not_depend_on_what_it_is_sent_with(decoder_folder: Path) -> None:
    with running(decoder_folder, engine={"quantization": "int8"}) as server:
        together = texts_of(server, PROMPTS)
        assert [text for prompt in PROMPTS for text in texts_of(server, [prompt])] == together
        status = server.admin.get("/status").json()
    assert status["model"]["quantization"] == "int8"


@pytest.mark.usefixtures("integers")
def test_weights_are_served_as_they_are_and_it_is_told_when_8_bits_do_not_work(
    decoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(decoder_folder) as server:
        expected = texts_of(server, PROMPTS)
    replace(monkeypatch, multiply_wrongly)
    with running(decoder_folder, engine={"quantization": "int8"}) as server:
        assert texts_of(server, PROMPTS) == expected
        status = server.admin.get("/status").json()
        metrics = server.admin.get("/metrics").text
    assert status["model"]["quantization"] == "none"
    assert 'quantization="none"' in metrics


def texts_of(server: RunningServer, prompts: list[str]) -> list[str]:
    body: Any = server.post("/v1/completions", prompt=prompts, max_tokens=NEW_TOKENS, temperature=0).json()
    return [choice["text"] for choice in body["choices"]]
