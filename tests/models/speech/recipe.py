"""Builds demo-speech: the committed weights, the configuration of the small wav2vec2, and its letters."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.models.packages import Step

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights.safetensors"
CARD = HERE / "MODEL_CARD.md"
SOURCES = (Path(__file__), WEIGHTS, CARD)
RATE = 8_000
LETTERS = "efghinorstuvwxz"
VOCABULARY = {token: index for index, token in enumerate(("<pad>", "<unk>", "|", *LETTERS))}
CONFIG: dict[str, Any] = {
    "architectures": ["Wav2Vec2ForCTC"],
    "model_type": "wav2vec2",
    "vocab_size": len(VOCABULARY),
    "pad_token_id": 0,
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 384,
    "conv_dim": [64, 64, 96, 96, 128],
    "conv_kernel": [10, 8, 4, 4, 4],
    "conv_stride": [5, 4, 2, 2, 2],
    "num_feat_extract_layers": 5,
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 32,
    "num_conv_pos_embedding_groups": 8,
    "hidden_dropout": 0.05,
    "attention_dropout": 0.05,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "final_dropout": 0.0,
    "layerdrop": 0.0,
    "mask_time_prob": 0.0,
    "apply_spec_augment": False,
    "ctc_loss_reduction": "mean",
    "ctc_zero_infinity": True,
    "torch_dtype": "float32",
}


def write(_package: Path, target: Path, step: Step) -> None:
    """Write the model into `target` in the hub's layout."""
    step("writing the weights")
    write_model(WEIGHTS, target)
    (target / "README.md").write_bytes(CARD.read_bytes())


def write_model(weights: Path, target: Path) -> None:
    """Write the model into `target` in the hub's layout, from a file of float16 weights."""
    tensors = {name: tensor.astype(np.float32) for name, tensor in load_file(weights).items()}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    write_settings(target)


def write_settings(target: Path) -> None:
    """Write everything but the weights."""
    _write(target / "config.json", CONFIG)
    _write(
        target / "preprocessor_config.json",
        {
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "feature_size": 1,
            "sampling_rate": RATE,
            "padding_value": 0.0,
            "do_normalize": True,
            "return_attention_mask": True,
        },
    )
    _write(target / "vocab.json", VOCABULARY)
    _write(
        target / "tokenizer_config.json",
        {
            "tokenizer_class": "Wav2Vec2CTCTokenizer",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "bos_token": None,
            "eos_token": None,
            "word_delimiter_token": "|",
        },
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
