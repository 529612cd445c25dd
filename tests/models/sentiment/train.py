"""Trains demo-sentiment and writes its weights and model card into the checkout.

Trained are low-rank updates of every linear layer of the encoder, and the head (pooler and classifier). The composed
sentences are easy, so few of them suffice; the hand-written ones are few and repeated. Settings were chosen on a part
of the hand-written training sentences that was kept apart for it, not on the held-out ones.
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
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

from tests.models.adapting import adapt, fetch_base, fit, trained_tensors
from tests.models.build import build_model
from tests.models.sentiment.card import Figures, render_card
from tests.models.sentiment.corpus import Example, compose, situations
from tests.models.sentiment.evaluate import accuracy, held_out
from tests.models.sentiment.merge import CARD, WEIGHTS, write_config, write_model

COMPOSED = 3_000
VALIDATION = 500
REPEATS = 4
EPOCHS = 3
BATCH = 32
MAX_TOKENS = 64


def train(*, seed: int, write: bool) -> Figures:
    """Train, measure, and with `write` replace the committed weights and card. Returns the figures."""
    torch.manual_seed(seed)
    composed, written = compose(COMPOSED + VALIDATION, seed), situations()
    with tempfile.TemporaryDirectory() as scratch:
        source = fetch_base(Path(scratch))
        model, tokenizer = _load(source, Path(scratch))
        start = time.monotonic()
        _fit(model, tokenizer, composed[VALIDATION:] + written * REPEATS, seed)
        seconds = time.monotonic() - start
        trained = trained_tensors(model)
        weights = WEIGHTS if write else Path(scratch) / WEIGHTS.name
        save_file(trained, weights)
        folder = _merged(source, Path(scratch), weights)
        figures = Figures(
            seed=seed,
            composed=COMPOSED,
            written=len(written),
            epochs=EPOCHS,
            seconds=seconds,
            parameters=sum(tensor.numel() for tensor in trained.values()),
            validation=accuracy(folder, composed[:VALIDATION]),
            held_out=accuracy(folder, held_out()),
            held_out_sentences=len(held_out()),
        )
    if write:
        WEIGHTS.chmod(0o644)
        CARD.write_text(render_card(figures), encoding="utf-8")
        build_model("demo-sentiment")
    Console().print(figures)
    return figures


def _load(source: Path, scratch: Path) -> tuple[BertForSequenceClassification, AutoTokenizer]:
    """Load MiniLM as a classifier with a fresh head, everything frozen but the updates and the head."""
    target = scratch / "config"
    target.mkdir()
    write_config(source, target)
    model = BertForSequenceClassification(AutoConfig.from_pretrained(target))
    adapt(model, source, (model.bert.pooler, model.classifier))
    return model, AutoTokenizer.from_pretrained(source)


def _fit(model: BertForSequenceClassification, tokenizer: AutoTokenizer, examples: list[Example], seed: int) -> None:
    """Train on batches of sentences of like length."""

    def loss_of(batch: list[Example]) -> Tensor:
        texts = [example.text for example in batch]
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        return cross_entropy(model(**inputs).logits, torch.tensor([example.label for example in batch]))

    fit(model, [batch for epoch in range(EPOCHS) for batch in _batches(examples, seed + epoch)], loss_of)


def _batches(examples: list[Example], seed: int) -> list[list[Example]]:
    choose = random.Random(seed)
    ordered = sorted(examples, key=lambda example: (len(example.text) // 8, choose.random()))
    batches = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
    choose.shuffle(batches)
    return batches


def _merged(source: Path, scratch: Path, weights: Path) -> Path:
    """Build the model as users get it, from the weights as they are committed."""
    folder = scratch / "merged"
    folder.mkdir()
    write_model(source, weights, folder)
    return folder
