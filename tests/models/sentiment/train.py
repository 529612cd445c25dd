"""Trains demo-sentiment and writes its weights and model card into the checkout.

Trained are low-rank updates of every linear layer of the encoder, its biases and norms, and the head (pooler and
classifier), on real reviews and, so that negation and contrast come often enough, on some composed sentences and the
hand-written ones. The target of a review is as sure as its raters were. Words and editorials are only in the first
epoch and posts not in the last, since what is measured is reviews. Each batch is seen twice, with other units dropped,
and the two answers are held together (Liang et al. 2021, "R-Drop"). The mean of the weights of several runs, which
differ in the order of the batches and in what is dropped, is what is served, with the bias of the classifier moved to
where the validation part is told best. Settings were chosen on that part of the reviews alone. bfloat16 takes half of
the time of float32, and the result is measured in float32.
"""

import random
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

from tests.models.adapting import adapt, fetch_base, trained_tensors
from tests.models.build import build_model, package_store
from tests.models.fitting import Plan, fit
from tests.models.sentiment.card import Figures, render_card
from tests.models.sentiment.corpus import Example, compose, situations
from tests.models.sentiment.evaluate import accuracy, held_out_written, margins, share_right
from tests.models.sentiment.low_rank import mean_of
from tests.models.sentiment.merge import CARD, WEIGHTS, write_config, write_model
from tests.models.sentiment.reviews import NEWS, POSTS, WORDS, Reviews, read_reviews

COMPOSED = 600
COMPOSED_HELD_OUT = 500
COMPOSED_SEED = 17
REPEATS = 2
RUNS = 3
EPOCHS = 3
RANK = 16
RATE = 1e-3
AGREEMENT = 1.0
BATCH = 32
SHORT = 8
MAX_TOKENS = 64
BIAS = "classifier.bias"
SMOOTH = 9


@dataclass(frozen=True)
class _Item:
    """A text as token ids, the chance that it approves, and the epochs that it is not in."""

    tokens: list[int]
    approval: float
    left_out: frozenset[int] = frozenset()


def train(*, seed: int, seconds: float, store: Path, write: bool) -> Figures:
    """Train, measure, and with `write` replace the committed weights and card. Returns the figures.

    A run that is not complete after `seconds` is left as a checkpoint in `store`, and Unfinished is raised.
    """
    reviews = read_reviews(package_store())
    with tempfile.TemporaryDirectory() as scratch:
        source = fetch_base(Path(scratch))
        items = _items(reviews, AutoTokenizer.from_pretrained(source))
        deadline = time.monotonic() + seconds
        runs = []
        spent = 0.0
        for number in range(seed, seed + RUNS):
            checkpoint = store / f"demo-sentiment-{number}.pt"
            updates, took = _run(source, items, number, checkpoint, deadline - time.monotonic())
            runs.append(updates)
            spent += took
        weights = WEIGHTS if write else Path(scratch) / WEIGHTS.name
        mean = {name: tensor.astype(np.float16) for name, tensor in mean_of(runs).items()}
        save_file(mean, weights)
        shift = _best_shift(margins(_merged(source, weights, Path(scratch) / "mean"), reviews.validation), reviews)
        mean[BIAS] += np.array([-shift / 2, shift / 2], np.float16)
        save_file(mean, weights)
        figures = _measure(_merged(source, weights, Path(scratch) / "moved"), reviews, seed, spent, runs[0])
    if write:
        WEIGHTS.chmod(0o644)
        CARD.write_text(render_card(figures), encoding="utf-8")
        build_model("demo-sentiment")
    Console().print(figures)
    return figures


def _measure(
    folder: Path, reviews: Reviews, seed: int, seconds: float, trained: dict[str, NDArray[np.float32]]
) -> Figures:
    composed = compose(COMPOSED + COMPOSED_HELD_OUT, COMPOSED_SEED)
    return Figures(
        seed=seed,
        runs=RUNS,
        reviews=sum(each.source not in (NEWS, WORDS) for each in reviews.training),
        news=sum(each.source == NEWS for each in reviews.training),
        words=sum(each.source == WORDS for each in reviews.training),
        composed=COMPOSED,
        written=len(situations()),
        epochs=EPOCHS,
        seconds=seconds,
        parameters=sum(tensor.size for tensor in trained.values()),
        validation=accuracy(folder, reviews.validation),
        held_out=accuracy(folder, reviews.held_out),
        held_out_reviews=len(reviews.held_out),
        held_out_written=accuracy(folder, held_out_written()),
        held_out_composed=accuracy(folder, composed[:COMPOSED_HELD_OUT]),
    )


def _items(reviews: Reviews, tokenizer: Any) -> list[_Item]:
    """All that is trained on, tokenized once."""
    first_only = frozenset(range(1, EPOCHS))
    left_out = {NEWS: first_only, WORDS: first_only, POSTS: frozenset([EPOCHS - 1])}
    made = compose(COMPOSED + COMPOSED_HELD_OUT, COMPOSED_SEED)[COMPOSED_HELD_OUT:]
    written = [example for example in situations() for _ in range(REPEATS)]
    examples = [(each.example, left_out.get(each.source, frozenset())) for each in reviews.training]
    examples += [(example, frozenset()) for example in made + written]
    tokens = tokenizer([example.text for example, _ in examples], truncation=True, max_length=MAX_TOKENS)["input_ids"]
    return [_Item(ids, _approval(example), out) for ids, (example, out) in zip(tokens, examples, strict=True)]


def _approval(example: Example) -> float:
    return example.certainty if example.label else 1 - example.certainty


def _run(
    source: Path, items: list[_Item], seed: int, checkpoint: Path, seconds: float
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Train once; return what was trained and the seconds that it took."""
    torch.manual_seed(seed)
    model = _load(source)
    batches = [batch for epoch in range(EPOCHS) for batch in _batches(items, epoch, seed)]
    plan = Plan(steps=len(batches), rate=RATE, warm_up=60, weight_decay=0.01, decay="linear")
    took = fit(model, lambda step: _loss(model, batches[step]), plan, checkpoint, seconds)
    return {name: tensor.float().numpy() for name, tensor in trained_tensors(model).items()}, took


def _load(source: Path) -> BertForSequenceClassification:
    """Load MiniLM as a classifier with a fresh head, everything frozen but updates, biases, norms and the head."""
    with tempfile.TemporaryDirectory() as folder:
        write_config(source, Path(folder))
        model = BertForSequenceClassification(AutoConfig.from_pretrained(folder))
    adapt(model, source, (model.bert.pooler, model.classifier), RANK)
    nn.init.zeros_(model.classifier.weight)
    nn.init.zeros_(model.classifier.bias)
    for name, parameter in model.bert.encoder.named_parameters():
        if name.endswith("bias") or "LayerNorm" in name:
            parameter.requires_grad_(True)
    for module in model.bert.encoder.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = module.weight.data.bfloat16()
    return model


def _loss(model: BertForSequenceClassification, batch: list[_Item]) -> Tensor:
    """The mean cross entropy of two passes, and how far the two answers are apart."""
    inputs = _padded(batch)
    approval = torch.tensor([item.approval for item in batch])
    targets = torch.stack([1 - approval, approval], 1)
    answers = []
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answers.append(model(**inputs).logits)
    errors = [cross_entropy(answer.float(), targets) for answer in answers]
    return (errors[0] + errors[1]) / 2 + AGREEMENT * _divergence(*(answer.float() for answer in answers))


def _divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean of the two Kullback-Leibler divergences between two answers, [rows, labels] logits each."""
    ours, theirs = first.log_softmax(-1), second.log_softmax(-1)
    return ((ours.exp() - theirs.exp()) * (ours - theirs)).sum(-1).mean() / 2


def _padded(batch: list[_Item]) -> dict[str, Tensor]:
    ids = [torch.tensor(item.tokens) for item in batch]
    pad = partial(nn.utils.rnn.pad_sequence, batch_first=True)
    return {"input_ids": pad(ids), "attention_mask": pad([torch.ones_like(each) for each in ids])}


def _batches(items: list[_Item], epoch: int, seed: int) -> list[list[_Item]]:
    """The batches of an epoch, of texts of like length, in an order of chance; of short texts twice as many fit."""
    choose = random.Random(seed + epoch)
    chosen = [item for item in items if epoch not in item.left_out]
    chosen.sort(key=lambda item: (len(item.tokens) // 2, choose.random()))
    batches: list[list[_Item]] = [[]]
    for item in chosen:
        batches[-1].append(item)
        if len(batches[-1]) >= BATCH * (1 if len(item.tokens) > SHORT else 2):
            batches.append([])
    full = [batch for batch in batches if batch]
    choose.shuffle(full)
    return full


def _best_shift(margins: Tensor, reviews: Reviews) -> float:
    """Return what to add to the margins of the validation part; near shifts count, too, so that no peak is chosen."""
    shifts = [step / 20 for step in range(-20, 21)]
    right = [share_right(margins + shift, reviews.validation) for shift in shifts]
    smooth = np.convolve(right, np.ones(SMOOTH) / SMOOTH, "valid")
    return shifts[int(smooth.argmax()) + SMOOTH // 2]


def _merged(source: Path, weights: Path, folder: Path) -> Path:
    """Build the model as users get it, from the weights as they are committed."""
    folder.mkdir()
    write_model(source, weights, folder)
    return folder
