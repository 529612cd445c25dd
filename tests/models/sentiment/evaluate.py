"""Measures a sentiment model on the held-out sentences.

`heldout.tsv` was written by hand, free of the templates and as unlike them as its author could make it, half of it for
either label; nothing of it is trained on, and no setting of the training was chosen by it.
"""

from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.models.sentiment.corpus import Example, read_examples

HELDOUT = Path(__file__).parent / "heldout.tsv"


def held_out() -> list[Example]:
    """Return the held-out sentences."""
    return read_examples(HELDOUT)


def predict(folder: Path, texts: list[str]) -> list[int]:
    """Return the label of each text by the model in a folder, computed in float32."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return [int(label) for label in model(**batch).logits.argmax(-1)]


def accuracy(folder: Path, examples: list[Example]) -> float:
    """Return the share of examples whose label the model in a folder tells rightly."""
    labels = predict(folder, [example.text for example in examples])
    right = sum(label == example.label for label, example in zip(labels, examples, strict=True))
    return right / len(examples)
