"""Models made on the spot, with random weights of fixed seeds: `python -m tests.bench.runtime.making NAME FOLDER`.

A process of its own, because it imports torch. Their tokenizer config names a class that transformers 4 knows too,
for the servers that are built on it.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from tests.bench.runtime.words import WORDS, text

VOCABULARY = 16000
START, END, PAD, CLASS, SEPARATOR = "<s>", "</s>", "<pad>", "[CLS]", "[SEP]"
UNSPOKEN = 5 + 256
"""Special tokens and single bytes, which come first. With no embedding they are never the likeliest, nor are numbers
beyond the tokenizer's last token, so that each token of an answer is text."""
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def make_llama(folder: Path, hidden: int, layers: int, heads: int, key_heads: int, inner: int) -> None:
    """Save a Llama."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=2048,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    model = LlamaForCausalLM(config)
    tokens, weights = _save_tokenizer(folder, chat=True), model.model.embed_tokens.weight.data
    weights[:UNSPOKEN] = weights[tokens:] = 0
    model.save_pretrained(folder)


def make_bert(folder: Path, hidden: int, layers: int, heads: int) -> None:
    """Save a BERT with a head of three classes."""
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        pad_token_id=2,
        id2label={0: "negative", 1: "neutral", 2: "positive"},
        label2id={"negative": 0, "neutral": 1, "positive": 2},
    )
    model = BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(folder)
    _save_tokenizer(folder, chat=False)


def make_vit(folder: Path) -> None:
    """Save a ViT of 22 million parameters that reads 224 by 224 pixels."""
    config = ViTConfig(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536, num_labels=10
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)


RECIPES: dict[str, Callable[[Path], None]] = {
    "llama-19m": lambda folder: make_llama(folder, 384, 8, 6, 2, 1024),
    "llama-88m": lambda folder: make_llama(folder, 768, 12, 12, 4, 2048),
    "bert-17m": lambda folder: make_bert(folder, 384, 6, 6),
    "bert-98m": lambda folder: make_bert(folder, 768, 12, 12),
    "vit-22m": make_vit,
}


def _save_tokenizer(folder: Path, *, chat: bool) -> int:
    """Save a tokenizer of at most `VOCABULARY` tokens; return how many it has."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[START, END, PAD, CLASS, SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = [" ".join(WORDS), *(text(400, seed, WORDS) for seed in range(40)), text(4000, 0)]
    tokenizer.train_from_iterator(lines, trainer)
    if not chat:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{CLASS} $A {SEPARATOR}",
            pair=f"{CLASS} $A {SEPARATOR} $B:1 {SEPARATOR}:1",
            special_tokens=[(CLASS, tokenizer.token_to_id(CLASS)), (SEPARATOR, tokenizer.token_to_id(SEPARATOR))],
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(_tokenizer_config(chat), indent=2))
    return int(tokenizer.get_vocab_size())


def _tokenizer_config(chat: bool) -> dict[str, Any]:
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": PAD, "clean_up_tokenization_spaces": False}
    if chat:
        return {**config, "bos_token": START, "eos_token": END, "model_max_length": 2048, "chat_template": TEMPLATE}
    return {**config, "cls_token": CLASS, "sep_token": SEPARATOR, "model_max_length": 512}


def main() -> None:
    """Make one model."""
    name, folder = sys.argv[1:]
    torch.manual_seed(0)
    RECIPES[name](Path(folder))


if __name__ == "__main__":
    main()
