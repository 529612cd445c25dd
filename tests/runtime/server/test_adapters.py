"""Adapters are asked for as models, share their batches, and give what peft's merged models give."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from modelservice_runtime.engine.slot_scheduler import SlotScheduler
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.lora import load_adapters
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_adapters import load_merged, make_adapter

pytestmark = pytest.mark.torch
NEW_TOKENS = 12
CACHE_BYTES = 512 * 3 * 2 * 2 * 16 * 4
LONG = tuple(range(10, 132))
PROMPTS = ["the quick brown fox", "Paris", "a server answers requests; every request has a prompt"]
KINDS: dict[str, dict[str, Any]] = {
    "poet": {},
    "org/clerk": {
        "r": 8,
        "lora_alpha": 4,
        "use_rslora": True,
        "target_modules": "all-linear",
        "rank_pattern": {"q_proj": 2},
        "alpha_pattern": {"layers.1.self_attn.q_proj": 6, "down_proj": 3},
    },
}
NAMES = ("tiny", *KINDS)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory, decoder_folder: Path) -> dict[str, Path]:
    return {
        name: make_adapter(tmp_path_factory.mktemp("adapter"), decoder_folder, seed=seed, **changes)
        for seed, (name, changes) in enumerate(KINDS.items())
    }


def settings_for(adapters: dict[str, Path]) -> dict[str, Any]:
    listed = [{"name": name, "path": str(folder)} for name, folder in adapters.items()]
    return {"adapters": listed, "aliases": "gpt-tiny, tiny-latest"}


@pytest.fixture(scope="module")
def server(decoder_folder: Path, adapters: dict[str, Path]) -> Iterator[RunningServer]:
    with running(decoder_folder, naming=settings_for(adapters)) as each:
        yield each


@pytest.fixture(scope="module")
def expected(decoder_folder: Path, adapters: dict[str, Path]) -> dict[tuple[str, Any], tuple[str, list[float]]]:
    """The greedy text of each name and prompt, and the log-probabilities of its tokens."""
    tokenizer = AutoTokenizer.from_pretrained(decoder_folder)
    answers = {}
    for name in NAMES:
        model = load_merged(decoder_folder, adapters.get(name))
        for prompt in (*PROMPTS, LONG):
            ids = torch.tensor([tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt])
            with torch.inference_mode():
                output = model.generate(
                    ids, max_new_tokens=NEW_TOKENS, do_sample=False, output_logits=True, return_dict_in_generate=True
                )
            made = output.sequences[0, ids.shape[1] :].tolist()
            spoken = [
                float(torch.log_softmax(logits[0], -1)[token])
                for logits, token in zip(output.logits, made, strict=True)
                if token != tokenizer.eos_token_id
            ]
            answers[name, prompt] = (tokenizer.decode(made, skip_special_tokens=True), spoken)
    return answers


def complete(server: RunningServer, name: str, prompt: Any) -> tuple[str, list[float]]:
    answer = server.post("/v1/completions", model=name, prompt=prompt, max_tokens=NEW_TOKENS, temperature=0, logprobs=0)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == name
    choice = answer.json()["choices"][0]
    return choice["text"], choice["logprobs"]["token_logprobs"]


def test_rows_of_one_batch_have_their_own_adapters(server: RunningServer, expected: dict[Any, Any]) -> None:
    jobs = [(name, prompt) for prompt in PROMPTS for name in NAMES] * 2
    with ThreadPoolExecutor(len(jobs)) as clients:
        answers = list(clients.map(lambda job: complete(server, *job), jobs))
    assert len({text for text, _ in expected.values()}) == len(expected)
    for job, (text, logprobs) in zip(jobs, answers, strict=True):
        assert text == expected[job][0]
        assert logprobs == pytest.approx(expected[job][1], abs=1e-4)


def test_adapters_stay_with_their_sequences_when_the_cache_is_too_small_for_all(
    decoder_folder: Path, adapters: dict[str, Path], expected: dict[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six sequences that grow beyond 128 positions, in a cache of 512."""
    monkeypatch.setattr("modelservice_runtime.tasks.generation.cache_bytes", lambda *_: CACHE_BYTES)
    preempted = []
    preempt = SlotScheduler._preempt
    monkeypatch.setattr(
        SlotScheduler, "_preempt", lambda self, sequence: (preempted.append(sequence), preempt(self, sequence))
    )
    with running(decoder_folder, naming=settings_for(adapters)) as server:
        jobs = [(name, LONG) for name in NAMES] * 2
        with ThreadPoolExecutor(len(jobs)) as clients:
            answers = list(clients.map(lambda job: complete(server, *job)[0], jobs))
    assert answers == [expected[job][0] for job in jobs]
    assert preempted


def test_chat_and_other_protocols_take_the_name_of_an_adapter(server: RunningServer, expected: dict[Any, Any]) -> None:
    parameters = {"max_new_tokens": NEW_TOKENS, "temperature": 0}
    messages = [{"role": "user", "content": "Paris"}]
    chats = [
        server.post("/v1/chat/completions", model=name, messages=messages, max_tokens=NEW_TOKENS, temperature=0).json()
        for name in NAMES
    ]
    first = server.http.post(
        "/v1/models/org/clerk:predict", json={"instances": ["Paris"], "parameters": parameters}
    ).json()
    second = server.http.post(
        "/v2/models/poet/versions/1/generate", json={"text_input": "Paris", "parameters": parameters}
    ).json()
    assert len({chat["choices"][0]["message"]["content"] for chat in chats}) == len(NAMES)
    assert first["predictions"][0]["text"] == expected["org/clerk", "Paris"][0]
    assert (second["model_name"], second["text_output"]) == ("poet", expected["poet", "Paris"][0])


def test_names_are_listed_and_other_names_are_not_served(server: RunningServer, expected: dict[Any, Any]) -> None:
    listed = {card["id"]: (card["root"], card["parent"]) for card in server.http.get("/v1/models").json()["data"]}
    assert listed == {
        "tiny": (None, None),
        "gpt-tiny": ("tiny", None),
        "tiny-latest": ("tiny", None),
        "poet": (None, "tiny"),
        "org/clerk": (None, "tiny"),
    }
    assert server.http.get("/v1/models/poet").json()["parent"] == "tiny"
    assert complete(server, "gpt-tiny", "Paris")[0] == expected["tiny", "Paris"][0]
    assert server.post("/v1/completions", model="painter", prompt="a").status_code == 404
    lines = server.admin.get("/metrics").text.splitlines()
    labels = {line.split('model="')[1].split('"')[0] for line in lines if line.startswith("inference_requests_total")}
    assert labels <= {"tiny", "poet", "org/clerk", "_other"}
    assert {"tiny", "poet", "_other"} <= labels


EDITS: dict[str, dict[str, Any]] = {
    "kind": {"peft_type": "IA3"},
    "dora": {"use_dora": True},
    "pissa": {"init_lora_weights": "pissa_niter_4"},
    "bias": {"bias": "all"},
    "alpha": {"lora_alpha": None},
    "pattern": {"alpha_pattern": {"(": 2}},
}


def spoil(folder: Path, how: str) -> None:
    """Edit the configuration, or do away with a file, or else change the weights."""
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    if how in EDITS:
        config.write_text(json.dumps(json.loads(config.read_text()) | EDITS[how]))
    elif how == "cut":
        weights.write_bytes(weights.read_bytes()[:-8])
    elif how.startswith("no "):
        (config if how == "no config" else weights).unlink()
    else:
        save_file(spoiled(load_file(weights), how), weights)


def spoiled(tensors: dict[str, Any], how: str) -> dict[str, Any]:
    first = next(iter(tensors))
    return {
        "half": {key: value for key, value in tensors.items() if key != first},
        "stranger": {key.replace("q_proj", "z_proj"): value for key, value in tensors.items()},
        "shape": {**tensors, first: torch.zeros(4, 48)},
        "rank": {**tensors, first: torch.zeros(0, 64)},
        "more": {**tensors, "base_model.model.lm_head.weight": torch.zeros(2)},
    }[how]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no config", "no adapter_config.json"), ("no weights", "no adapter_model.safetensors"), ("cut", "read"),
        ("kind", "IA3"), ("dora", "use_dora"), ("pissa", "pissa"), ("bias", "biases"), ("alpha", "lora_alpha"),
        ("half", "only one"), ("pattern", "alpha_pattern"), ("rank", "(0, 64)"),
        ("stranger", "z_proj"), ("shape", "48"), ("more", "lm_head.weight"),
    ],
)  # fmt: skip
def test_adapter_is_refused_with_its_name_when_it_cannot_be_right(
    decoder_folder: Path, tmp_path: Path, how: str, words: str
) -> None:
    folder = make_adapter(tmp_path, decoder_folder, seed=3)
    spoil(folder, how)
    with pytest.raises(UnusableModel, match="poet") as raised:
        load_adapters(load_merged(decoder_folder, None), {"poet": str(folder)})
    assert words in str(raised.value)
    assert raised.value.exit_code == 65


@pytest.mark.parametrize(("kind", "words"), [("decoder", "no adapter_config.json"), ("classifier", "text-class")])
def test_server_does_not_start_when_an_adapter_cannot_be_served(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, words: str
) -> None:
    server = RunningServer(request.getfixturevalue(f"{kind}_folder"), naming={"adapters": f"poet={tmp_path}"})
    with pytest.raises(UnusableModel, match=words) as raised:
        server.wait_ready()
    server.join()
    assert raised.value.exit_code == 65


def test_gateways_are_told_the_adapters_that_are_loaded(server: RunningServer) -> None:
    line = next(each for each in server.admin.get("/metrics").text.splitlines() if "lora_requests_info{" in each)
    assert 'max_lora="2"' in line
    assert 'running_lora_adapters="poet,org/clerk"' in line
