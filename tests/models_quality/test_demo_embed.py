"""demo-embed is a real sentence encoder: what means the same lies close together."""

from itertools import pairwise

import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from tests.models import build_model

pytestmark = pytest.mark.torch

SAME = (
    ("How do I bake bread?", "What is a recipe for making a loaf at home?"),
    ("The train to Berlin is late.", "My railway connection to the German capital has a delay."),
    ("The cat sleeps on the sofa.", "A kitten is napping on the couch."),
)


@pytest.fixture(scope="module")
def encode():
    folder = build_model("demo-embed")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()

    def embed(texts: list[str]) -> torch.Tensor:
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        return normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)

    return embed


def test_sentences_lie_closest_to_those_that_mean_the_same(encode) -> None:
    left, right = encode([pair[0] for pair in SAME]), encode([pair[1] for pair in SAME])
    assert (left @ right.T).argmax(-1).tolist() == list(range(len(SAME)))


def test_different_topics_lie_far_apart(encode) -> None:
    vectors = encode([pair[0] for pair in SAME])
    assert all(float(one @ other) < 0.3 for one, other in pairwise(vectors))
