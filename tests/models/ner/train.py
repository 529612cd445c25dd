"""Trains demo-ner and writes its weights and model card into the checkout.

Trained are low-rank updates of every linear layer of the encoder, and the head: one linear layer from a token's vector
to its tag. Each token of a name is tagged, not its first alone, so that words that fall into pieces hold together.
"""

import random
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoTokenizer, BertForTokenClassification, pipeline

from tests.models.adapting import adapt, fetch_base, fit, trained_tensors
from tests.models.build import build_model
from tests.models.ner.card import Figures, render_card
from tests.models.ner.corpus import Mention, Sentence, compose
from tests.models.ner.evaluate import entity_f1, held_out
from tests.models.ner.merge import CARD, TAGS, WEIGHTS, write_config, write_model

SENTENCES = 6_000
VALIDATION = 300
EPOCHS = 2
BATCH = 32
IGNORED = -100


def train(*, seed: int, write: bool) -> Figures:
    """Train, measure, and with `write` replace the committed weights and card. Returns the figures."""
    torch.manual_seed(seed)
    sentences = compose(SENTENCES + VALIDATION, seed)
    with tempfile.TemporaryDirectory() as scratch:
        source = fetch_base(Path(scratch))
        model, tokenizer = _load(source, Path(scratch))
        start = time.monotonic()
        _fit(model, tokenizer, sentences[VALIDATION:], seed)
        seconds = time.monotonic() - start
        trained = trained_tensors(model)
        weights = WEIGHTS if write else Path(scratch) / WEIGHTS.name
        save_file(trained, weights)
        folder = Path(scratch) / "merged"
        folder.mkdir()
        write_model(source, weights, folder)
        figures = Figures(
            seed=seed,
            sentences=SENTENCES,
            epochs=EPOCHS,
            seconds=seconds,
            parameters=sum(tensor.numel() for tensor in trained.values()),
            validation=measure(folder, sentences[:VALIDATION]),
            held_out=measure(folder, held_out()),
            held_out_sentences=len(held_out()),
            held_out_entities=sum(len(sentence.mentions) for sentence in held_out()),
        )
    if write:
        WEIGHTS.chmod(0o644)
        CARD.write_text(render_card(figures), encoding="utf-8")
        build_model("demo-ner")
    Console().print(figures)
    return figures


def measure(folder: Path, sentences: list[Sentence]) -> float:
    """Return the entity F1 of the model in a folder, by transformers' own pipeline."""
    tag = pipeline("token-classification", model=folder, aggregation_strategy="average")
    found = [
        {Mention(entity["entity_group"], entity["start"], entity["end"]) for entity in entities}
        for entities in tag([sentence.text for sentence in sentences])
    ]
    return entity_f1(found, sentences)


def tag_tokens(offsets: list[tuple[int, int]], mentions: tuple[Mention, ...]) -> list[int]:
    """Return the tag of each token by its place in the text; special tokens, which have none, are ignored."""
    tags = []
    for start, end in offsets:
        inside = next((mention for mention in mentions if mention.start <= start < mention.end), None)
        if start == end:
            tags.append(IGNORED)
        elif inside is None:
            tags.append(0)
        else:
            tags.append(TAGS.index(f"{'B' if start == inside.start else 'I'}-{inside.label}"))
    return tags


def _load(source: Path, scratch: Path) -> tuple[BertForTokenClassification, AutoTokenizer]:
    """Load MiniLM as a tagger with a fresh head, everything frozen but the updates and the head."""
    target = scratch / "config"
    target.mkdir()
    write_config(source, target)
    model = BertForTokenClassification(AutoConfig.from_pretrained(target))
    adapt(model, source, (model.classifier,))
    return model, AutoTokenizer.from_pretrained(source)


def _fit(model: BertForTokenClassification, tokenizer: AutoTokenizer, sentences: list[Sentence], seed: int) -> None:
    def loss_of(batch: list[Sentence]) -> Tensor:
        texts = [sentence.text for sentence in batch]
        inputs = tokenizer(texts, padding=True, return_tensors="pt", return_offsets_mapping=True)
        offsets = inputs.pop("offset_mapping").tolist()
        tags = [tag_tokens(row, sentence.mentions) for row, sentence in zip(offsets, batch, strict=True)]
        logits = model(**inputs).logits
        return cross_entropy(logits.flatten(0, 1), torch.tensor(tags).flatten(), ignore_index=IGNORED)

    fit(model, [batch for epoch in range(EPOCHS) for batch in _batches(sentences, seed + epoch)], loss_of)


def _batches(sentences: list[Sentence], seed: int) -> list[list[Sentence]]:
    """Return batches of sentences of like length in random order."""
    choose = random.Random(seed)
    ordered = sorted(sentences, key=lambda sentence: (len(sentence.text) // 8, choose.random()))
    batches = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
    choose.shuffle(batches)
    return batches
