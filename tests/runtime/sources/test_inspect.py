"""Folders are described from their headers, and whatever cannot be served is refused with a reason."""

import json
import struct
from pathlib import Path

import pytest

from modelservice_runtime.errors import ModelNotFound, UnusableModel
from modelservice_runtime.sources.inspect import inspect_folder
from tests.runtime.sources.folders import LLAMA, ModelFolder, make_model


def test_card_counts_parameters_and_bytes_when_the_weights_are_one_file(tmp_path: Path) -> None:
    card = inspect_folder(make_model(tmp_path, parameters=1234).path)
    assert (card.architecture, card.parameters, card.dtype) == ("LlamaForCausalLM", 1234, "float32")
    assert card.size_bytes == (tmp_path / "model.safetensors").stat().st_size


def test_card_adds_up_all_shards_when_there_is_an_index(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path).with_config().with_shards(3, parameters=100).with_weights("other.safetensors", 7)
    assert inspect_folder(folder.path).parameters == 300


@pytest.mark.parametrize(
    ("config", "task"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "text-generation"),
        ({"architectures": ["GPT2LMHeadModel"]}, "text-generation"),
        ({"architectures": ["BertModel"]}, "feature-extraction"),
        ({"architectures": ["BertForSequenceClassification"]}, "text-classification"),
        ({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}}, "rerank"),
        (
            {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "Entailment"}},
            "zero-shot-classification",
        ),
        ({"architectures": ["BertForTokenClassification"]}, "token-classification"),
        ({"architectures": ["MarianMTModel"], "model_type": "marian"}, "text2text-generation"),
        ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}, "text2text-generation"),
        ({"architectures": ["HubertForSequenceClassification"], "model_type": "hubert"}, "audio-classification"),
        ({"architectures": ["ASTForAudioClassification"]}, "audio-classification"),
        ({"architectures": ["BertForMaskedLM"]}, "fill-mask"),
        ({"architectures": ["ViTForImageClassification"]}, "image-classification"),
        ({"architectures": ["Wav2Vec2ForCTC"]}, "automatic-speech-recognition"),
        (
            {"architectures": ["XForConditionalGeneration"], "model_type": "whisper"},
            "automatic-speech-recognition",
        ),
        ({"architectures": ["XForConditionalGeneration"], "model_type": "blip"}, "image-to-text"),
        ({"architectures": ["SomethingElse"]}, None),
        ({}, None),
    ],
)
def test_task_follows_from_the_architecture(tmp_path: Path, config: dict[str, object], task: str | None) -> None:
    assert inspect_folder(ModelFolder(tmp_path).with_config(config).with_weights().path).task == task


def test_task_is_chat_when_the_tokenizer_has_a_template(tmp_path: Path) -> None:
    folder = make_model(tmp_path).with_file("tokenizer_config.json", json.dumps({"chat_template": "{{ x }}"}))
    assert inspect_folder(folder.path).task == "chat"


def test_task_is_chat_when_the_template_is_a_file_of_its_own(tmp_path: Path) -> None:
    assert inspect_folder(make_model(tmp_path).with_file("chat_template.jinja", "{{ x }}").path).task == "chat"


def test_card_tells_of_remote_code_when_the_config_refers_to_it(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path).with_config({**LLAMA, "auto_map": {"AutoModel": "model.Model"}}).with_weights()
    assert inspect_folder(folder.path).needs_remote_code


def test_folder_is_not_found_when_it_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no folder"):
        inspect_folder(tmp_path / "none")


def test_folder_is_refused_when_it_has_no_config(tmp_path: Path) -> None:
    with pytest.raises(UnusableModel, match=r"has no config\.json"):
        inspect_folder(ModelFolder(tmp_path).with_weights().path)


@pytest.mark.parametrize("content", ["[]", "nonsense", '"text"'])
def test_folder_is_refused_when_its_config_is_no_object(tmp_path: Path, content: str) -> None:
    with pytest.raises(UnusableModel, match=r"config\.json"):
        inspect_folder(ModelFolder(tmp_path).with_file("config.json", content).with_weights().path)


def test_folder_is_refused_when_its_weights_are_pickled(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path).with_config().with_file("pytorch_model.bin", b"\x80\x04")
    with pytest.raises(UnusableModel, match=r"pytorch_model\.bin, which may run code"):
        inspect_folder(folder.path)


def test_folder_is_refused_when_a_shard_is_missing(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path).with_config().with_shards(3)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(UnusableModel, match=r"lacks 1 of 3 .* model-00002-of-00003"):
        inspect_folder(folder.path)


def test_folder_is_refused_when_the_weights_are_cut_short(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UnusableModel, match="damaged: the header promises"):
        inspect_folder(folder.path)


def header(content: object) -> bytes:
    raw = json.dumps(content).encode()
    return struct.pack("<Q", len(raw)) + raw


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"xx",
        header({"w": {}}),
        header({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}),
        header({"w": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 4]}}),
        header({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}),
    ],
)
def test_folder_is_refused_when_the_weights_are_no_safetensors(tmp_path: Path, content: bytes) -> None:
    folder = ModelFolder(tmp_path).with_config().with_file("model.safetensors", content)
    with pytest.raises(UnusableModel, match="is damaged"):
        inspect_folder(folder.path)


def test_folder_is_refused_when_a_download_into_it_is_unfinished(tmp_path: Path) -> None:
    folder = make_model(tmp_path).with_file(".partial/key", "hf://org/x")
    with pytest.raises(UnusableModel, match="unfinished download"):
        inspect_folder(folder.path)
