"""Measures a sentiment model on what it was not trained on, and no setting of the training was chosen by.

First come real reviews (`reviews`). `heldout.tsv` was written by hand, free of the templates of the composed sentences
and as unlike them as its author could make it, half of it for either label.
"""

from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.models.sentiment.corpus import Example, read_examples

HELDOUT = Path(__file__).parent / "heldout.tsv"
BATCH = 64


def held_out_written() -> list[Example]:
    """Return the held-out sentences that were written by hand."""
    return read_examples(HELDOUT)


def accuracy(folder: Path, examples: list[Example]) -> float:
    """Return the share of examples whose label the model in a folder tells rightly, computed in float32."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ordered = sorted(examples, key=lambda example: len(example.text))
    right = 0
    with torch.inference_mode():
        for start in range(0, len(ordered), BATCH):
            part = ordered[start : start + BATCH]
            batch = tokenizer([example.text for example in part], padding=True, truncation=True, return_tensors="pt")
            labels = model(**batch).logits.argmax(-1)
            right += sum(int(label) == example.label for label, example in zip(labels, part, strict=True))
    return right / len(examples)
