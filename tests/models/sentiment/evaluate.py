"""Measures a sentiment model on what it was not trained on, and no setting of the training was chosen by.

First come real reviews (`reviews`). `heldout.tsv` was written by hand, free of the templates of the composed sentences
and as unlike them as its author could make it, half of it for either label.
"""

from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.models.sentiment.corpus import NEGATIVE, POSITIVE, Example, read_examples

HELDOUT = Path(__file__).parent / "heldout.tsv"
BATCH = 64


def held_out_written() -> list[Example]:
    """Return the held-out sentences that were written by hand."""
    return read_examples(HELDOUT)


def accuracy(folder: Path, examples: list[Example]) -> float:
    """Return the share of examples whose label the model in a folder tells rightly, computed in float32."""
    return share_right(margins(folder, examples), examples)


def share_right(margins: Tensor, examples: list[Example]) -> float:
    """Return the share of examples whose margin is on the side of their label."""
    labels = torch.tensor([example.label == POSITIVE for example in examples])
    return float(((margins > 0) == labels).float().mean())


def margins(folder: Path, examples: list[Example]) -> Tensor:
    """Return by how much the logit of approval exceeds the other, [examples], computed in float32."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ordered = sorted(range(len(examples)), key=lambda index: len(examples[index].text))
    found = torch.zeros(len(examples))
    with torch.inference_mode():
        for start in range(0, len(ordered), BATCH):
            part = ordered[start : start + BATCH]
            texts = [examples[index].text for index in part]
            logits = model(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt")).logits
            found[part] = logits[:, POSITIVE] - logits[:, NEGATIVE]
    return found
