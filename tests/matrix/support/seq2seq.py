"""Tiny random encoder-decoders for text: T5 with its relative positions, BART with learned ones, Marian with sinusoids.

Marian's tokenizer is two sentencepiece models and a vocabulary, and runs in Python; the others have a fast one.
"""

import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.runtime.support.tiny_models import CORPUS

LONGEST = 96


def make_t5(folder: Path) -> Path:
    """Save a random T5 with gated activations and an output layer of its own, as T5 1.1 and Flan have."""
    tokenizer = _unigram_tokenizer()
    torch.manual_seed(11)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=3,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        initializer_factor=2.0,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=20,
    )
    return _save(folder, T5ForConditionalGeneration(config), tokenizer)


def make_bart(folder: Path) -> Path:
    """Save a random BART whose generation_config forbids repeated pairs and forces the first token."""
    tokenizer = _unigram_tokenizer()
    torch.manual_seed(12)
    config = BartConfig(
        **_sizes(len(tokenizer)), bos_token_id=2, pad_token_id=0, eos_token_id=1, decoder_start_token_id=1
    )
    model = BartForConditionalGeneration(config)
    model.generation_config.no_repeat_ngram_size = 2
    model.generation_config.forced_bos_token_id = 2
    return _save(folder, model, tokenizer)


def make_marian(folder: Path) -> Path:
    """Save a random Marian, whose padding token starts the answer and may not occur in it."""
    tokenizer = _marian_tokenizer(folder)
    torch.manual_seed(13)
    pad = tokenizer.pad_token_id
    config = MarianConfig(
        **_sizes(len(tokenizer)),
        pad_token_id=pad,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=pad,
        scale_embedding=True,
    )
    model = MarianMTModel(config)
    model.generation_config.bad_words_ids = [[pad]]
    return _save(folder, model, tokenizer)


MAKERS = {"t5": make_t5, "bart": make_bart, "marian": make_marian}


def _sizes(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "max_position_embeddings": LONGEST,
        "init_std": 0.5,
    }


def _save(folder: Path, model: Any, tokenizer: Any) -> Path:
    model.generation_config._from_model_config = False  # or it is made anew from config.json when it is loaded
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _unigram_tokenizer() -> Any:
    raw = Tokenizer(models.Unigram())
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<s>", "<unk>"]
    raw.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False)
    )
    raw.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>"
    )


def _marian_tokenizer(folder: Path) -> Any:
    """Train one sentencepiece model, and use it for both languages."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_prefix=str(folder / "source"),
        vocab_size=150,
        bos_id=-1,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    (folder / "source.model").rename(folder / "source.spm")
    (folder / "source.vocab").unlink()
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    words = ["</s>", "<unk>", *(pieces.id_to_piece(index) for index in range(pieces.get_piece_size()))]
    unique = list(dict.fromkeys([*words, "<pad>"]))
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(unique)}))
    return MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"), model_max_length=LONGEST
    )
