"""demo-embed is a real sentence encoder: served, it gives the reference's vectors, and what means the same is alike."""

from collections.abc import Iterator

import pytest
import torch
from scipy.stats import spearmanr
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from tests.models import build_model
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

# Pairs with how alike they are, 5 for the same meaning and 0 for nothing in common, graded by hand before measuring.
GRADED = (
    ("How do I bake bread?", "What is a recipe for making a loaf at home?", 5),
    ("The train to Berlin is late.", "My railway connection to the German capital has a delay.", 5),
    ("The cat sleeps on the sofa.", "A kitten is napping on the couch.", 5),
    ("The doctor told her to rest.", "She was advised by her physician to take it easy.", 5),
    ("A man is playing the guitar.", "Someone plays a stringed instrument.", 4),
    ("The company raised its prices.", "Prices at the firm went up in March.", 4),
    ("It rained all weekend.", "The weather was wet on Saturday.", 4),
    ("A man is playing the guitar.", "A woman is playing the violin.", 3),
    ("The cat sleeps on the sofa.", "The dog sleeps in the garden.", 3),
    ("He bought a new car.", "He sold his old bicycle.", 2),
    ("The river flooded the village.", "The village lies beside the river.", 2),
    ("She studies mathematics in Paris.", "He teaches chemistry in Rome.", 2),
    ("How do I bake bread?", "The supermarket sells flour.", 2),
    ("The team won the final.", "The minister gave a speech.", 1),
    ("It rained all weekend.", "The farmer has three sons.", 1),
    ("The train to Berlin is late.", "The cat sleeps on the sofa.", 0),
    ("A man is playing the guitar.", "Shares fell by two per cent.", 0),
    ("She studies mathematics in Paris.", "The soup needs more salt.", 0),
    ("The software crashes at startup.", "Roses bloom in early summer.", 0),
)
QUERIES = (
    ("how long to boil an egg", "Cook eggs in boiling water for eight minutes for a firm yolk."),
    ("python program does not start", "The interpreter reports a syntax error when the script is launched."),
    ("cheap flights to Lisbon", "The airline offers tickets to Portugal from forty euros."),
    ("why is the sky blue", "Air scatters short wavelengths of sunlight more than long ones."),
    ("my back hurts after sitting", "Stand up and stretch every hour to avoid spinal pain at the desk."),
)
TEXTS = sorted({text for first, second, _ in GRADED for text in (first, second)})


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running(build_model("demo-embed")) as server:
        yield server


def test_vectors_equal_the_reference_pooling(server: RunningServer) -> None:
    folder = build_model("demo-embed")
    batch = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    expected = normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    data = server.post("/v1/embeddings", input=TEXTS).json()["data"]
    found = torch.tensor([item["embedding"] for item in data])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_sentences_are_ranked_as_people_would(server: RunningServer) -> None:
    scores = [
        server.post("/v1/similarity", source_sentence=first, sentences=[second]).json()["data"][0]["score"]
        for first, second, _ in GRADED
    ]
    assert spearmanr(scores, [grade for _, _, grade in GRADED]).statistic >= 0.8
    same = min(score for score, (_, _, grade) in zip(scores, GRADED, strict=True) if grade == 5)
    assert same > max(score for score, (_, _, grade) in zip(scores, GRADED, strict=True) if grade <= 1)


def test_the_answering_document_comes_first_for_every_query(server: RunningServer) -> None:
    documents = [document for _, document in QUERIES]
    for index, (query, _) in enumerate(QUERIES):
        results = server.post("/v1/rerank", query=query, documents=documents).json()["results"]
        assert results[0]["index"] == index
