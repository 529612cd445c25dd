"""Trains demo-sentiment and writes its weights and model card into the checkout.

Trained are low-rank updates of every linear layer of the encoder, and the head (pooler and classifier), on real reviews
and, so that negation and contrast come often enough, on some composed sentences and the hand-written ones. The target
of a review is as sure as its raters were. Settings were chosen on the validation part of the reviews alone. bfloat16
takes half of the time of float32, and the result is measured in float32.
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
from tests.models.build import build_model, package_store
from tests.models.sentiment.card import Figures, render_card
from tests.models.sentiment.corpus import Example, compose, situations
from tests.models.sentiment.evaluate import accuracy, held_out_written
from tests.models.sentiment.merge import CARD, WEIGHTS, write_config, write_model
from tests.models.sentiment.reviews import read_reviews

COMPOSED = 600
COMPOSED_HELD_OUT = 500
REPEATS = 2
EPOCHS = 2
BATCH = 32
MAX_TOKENS = 64


def train(*, seed: int, write: bool) -> Figures:
    """Train, measure, and with `write` replace the committed weights and card. Returns the figures."""
    torch.manual_seed(seed)
    composed, written, reviews = (
        compose(COMPOSED + COMPOSED_HELD_OUT, seed),
        situations(),
        read_reviews(package_store()),
    )
    with tempfile.TemporaryDirectory() as scratch:
        source = fetch_base(Path(scratch))
        model, tokenizer = _load(source, Path(scratch))
        start = time.monotonic()
        _fit(model, tokenizer, reviews.training + composed[COMPOSED_HELD_OUT:] + written * REPEATS, seed)
        seconds = time.monotonic() - start
        trained = trained_tensors(model)
        weights = WEIGHTS if write else Path(scratch) / WEIGHTS.name
        save_file(trained, weights)
        folder = _merged(source, Path(scratch), weights)
        figures = Figures(
            seed=seed,
            reviews=len(reviews.training),
            composed=COMPOSED,
            written=len(written),
            epochs=EPOCHS,
            seconds=seconds,
            parameters=sum(tensor.numel() for tensor in trained.values()),
            validation=accuracy(folder, reviews.validation),
            held_out=accuracy(folder, reviews.held_out),
            held_out_reviews=len(reviews.held_out),
            held_out_written=accuracy(folder, held_out_written()),
            held_out_composed=accuracy(folder, composed[:COMPOSED_HELD_OUT]),
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
        targets = torch.tensor([_target(example) for example in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(**inputs).logits
        return cross_entropy(logits.float(), targets)

    fit(model, [batch for epoch in range(EPOCHS) for batch in _batches(examples, seed + epoch)], loss_of)


def _target(example: Example) -> list[float]:
    """The chances of the two labels."""
    chances = [1 - example.certainty] * 2
    chances[example.label] = example.certainty
    return chances


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
