"""Tiny random text encoders of the families that people deploy, each with its own kind of tokenizer.

The tokenizers are trained on a few sentences: WordPiece for BERT and DistilBERT, byte-level BPE for RoBERTa and
ModernBERT, Unigram for DeBERTa-v2. What differs between families is what the tests are after: segments, special
tokens, offsets, marks of subwords, positions that start behind the padding.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertTokenizer, DebertaV2Tokenizer, PreTrainedTokenizerFast, RobertaTokenizer

from tests.runtime.support.tiny_models import CORPUS

LONGEST = 96
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


@dataclass(frozen=True, slots=True)
class Family:
    """The prefix of a family's classes in transformers, its tokenizer, and its config beside the vocabulary."""

    prefix: str
    tokenizer: Callable[[], Any]
    config: Mapping[str, Any]


def make_text_encoder(folder: Path, family: str, head: str, **config: Any) -> Path:
    """Save a random model of a family with a head (`ForTokenClassification`, `Model`, ...) and its tokenizer."""
    recipe = FAMILIES[family]
    tokenizer = recipe.tokenizer()
    names = ("pad", "cls", "sep", "bos", "eos")
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in names}
    known = {name: value for name, value in special.items() if value is not None}
    if "id2label" in config:
        config["label2id"] = {label: index for index, label in config["id2label"].items()}
    torch.manual_seed(len(family) + len(head))
    settings = getattr(transformers, f"{recipe.prefix}Config")(
        **{"vocab_size": len(tokenizer), "initializer_range": 0.3, **known, **recipe.config, **config}
    )
    getattr(transformers, f"{recipe.prefix}{head}")(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _bert_tokenizer(**extra: Any) -> Any:
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    raw.train_from_iterator(CORPUS, trainer)
    return BertTokenizer(vocab=raw.get_vocab(), model_max_length=LONGEST, **extra)


def _distilbert_tokenizer() -> Any:
    return _bert_tokenizer(model_input_names=["input_ids", "attention_mask"])


def _byte_level(special: list[str]) -> Tokenizer:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(CORPUS, trainer)
    return raw


def _roberta_tokenizer() -> Any:
    model = json.loads(_byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]).to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    return RobertaTokenizer(vocab=model["vocab"], merges=merges, model_max_length=LONGEST)


def _modernbert_tokenizer() -> Any:
    raw = _byte_level(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=LONGEST,
        model_input_names=["input_ids", "attention_mask"],
    )


def _deberta_tokenizer() -> Any:
    raw = Tokenizer(models.Unigram())
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    trainer = trainers.UnigramTrainer(vocab_size=250, special_tokens=special, unk_token="[UNK]", show_progress=False)
    raw.train_from_iterator(CORPUS, trainer)
    vocabulary = [(token, score) for token, score in json.loads(raw.to_str())["model"]["vocab"]]
    return DebertaV2Tokenizer(vocab=vocabulary, unk_id=3, model_max_length=LONGEST)


FAMILIES = {
    "bert": Family("Bert", _bert_tokenizer, {**SIZES, "max_position_embeddings": LONGEST}),
    "roberta": Family(
        "Roberta", _roberta_tokenizer, {**SIZES, "max_position_embeddings": LONGEST + 2, "type_vocab_size": 1}
    ),
    "distilbert": Family(
        "DistilBert",
        _distilbert_tokenizer,
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, "max_position_embeddings": LONGEST},
    ),
    "modernbert": Family(
        "ModernBert",
        _modernbert_tokenizer,
        {**SIZES, "max_position_embeddings": LONGEST, "global_attn_every_n_layers": 2, "local_attention": 8},
    ),
    "deberta-v2": Family(
        "DebertaV2",
        _deberta_tokenizer,
        {
            **SIZES,
            "max_position_embeddings": LONGEST,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "type_vocab_size": 0,
            "pooler_hidden_size": 32,
        },
    ),
}
