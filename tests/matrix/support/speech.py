"""Tiny random models that listen: wav2vec2 and HuBERT with a CTC head or labels, and Whisper in many languages."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import (
    HubertConfig,
    HubertForCTC,
    HubertForSequenceClassification,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2ForSequenceClassification,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from tests.runtime.support.tiny_models import byte_level_tokenizer

LETTERS = {token: index for index, token in enumerate(("<pad>", "<unk>", "|", *"abcdefghijklmn"))}
CLASSES = {0: "music", 1: "noise", 2: "speech"}
LANGUAGES = ("en", "de", "fr")
TIMES = 1501
CTC = {"wav2vec2": (Wav2Vec2Config, Wav2Vec2ForCTC, "layer"), "hubert": (HubertConfig, HubertForCTC, "group")}
LABELLED = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2ForSequenceClassification, "group"),
    "hubert": (HubertConfig, HubertForSequenceClassification, "layer"),
}


def make_ctc(folder: Path, family: str) -> Path:
    """Save a random model with a CTC head; wav2vec2 normalises each frame, HuBERT the whole recording."""
    config, kind, norm = CTC[family]
    torch.manual_seed(21)
    model = kind(config(**_sizes(norm), vocab_size=len(LETTERS), pad_token_id=0))
    (folder / "vocab.json").write_text(json.dumps(LETTERS))
    Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), pad_token="<pad>", unk_token="<unk>", bos_token=None, eos_token=None
    ).save_pretrained(folder)
    return _save(folder, model, norm)


def make_labelled(folder: Path, family: str) -> Path:
    """Save a random model that classifies recordings."""
    config, kind, norm = LABELLED[family]
    torch.manual_seed(22)
    labels = {"id2label": CLASSES, "label2id": {name: index for index, name in CLASSES.items()}}
    return _save(folder, kind(config(**_sizes(norm), **labels, classifier_proj_size=16)), norm)


def make_whisper(folder: Path) -> Path:
    """Save a random Whisper that knows three languages."""
    tokenizer = byte_level_tokenizer(False)
    text = len(tokenizer)
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES)]
    special += [
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ]
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken(each, special=True) for each in special]})
    ids = {name: text + index for index, name in enumerate(special)}
    end = ids["<|endoftext|>"]
    tokenizer.eos_token = tokenizer.bos_token = tokenizer.pad_token = tokenizer.unk_token = "<|endoftext|>"
    torch.manual_seed(23)
    config = WhisperConfig(
        vocab_size=len(tokenizer) + TIMES,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_target_positions=64,
        init_std=0.4,
        decoder_start_token_id=ids["<|startoftranscript|>"],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    model = WhisperForConditionalGeneration(config)
    with torch.no_grad():
        model.model.decoder.embed_tokens.weight[-TIMES:] *= 0.3  # as trained models: no times where none are asked for
    settings = {
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "lang_to_id": {f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES},
        "task_to_id": {task: ids[f"<|{task}|>"] for task in ("translate", "transcribe")},
        "is_multilingual": True,
        "suppress_tokens": [5, *(ids[name] for name in special[1:-1])],
        "begin_suppress_tokens": [7, end],
        "max_initial_timestamp_index": 50,
        "max_length": 64,
        "return_timestamps": False,
    }
    model.generation_config._from_model_config = False  # or it is made anew from config.json when it is loaded
    for key, value in settings.items():
        setattr(model.generation_config, key, value)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def _sizes(norm: str) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "conv_dim": (16, 16, 16),
        "conv_kernel": (10, 8, 4),
        "conv_stride": (5, 8, 4),
        "num_feat_extract_layers": 3,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
        "feat_extract_norm": norm,
        "do_stable_layer_norm": norm == "layer",
        "initializer_range": 0.3,
    }


def _save(folder: Path, model: Any, norm: str) -> Path:
    model.eval().save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer").save_pretrained(folder)
    return folder
