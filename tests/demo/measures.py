"""What each row measures, through HTTP alone, on data that no model was trained on."""

from typing import Any

import httpx

from tests.models.sentiment.evaluate import held_out

SECONDS = 120
FACTS = (
    ("What is the capital of France?", "Paris"),
    ("What are the three primary colors?", "Blue"),
)


TRIPLES = (
    ("A man is playing a guitar.", "Someone plays an instrument.", "The stock market fell sharply on Monday."),
    ("The cat sleeps on the sofa.", "A kitten is napping on the couch.", "He repaired the engine of his motorcycle."),
    ("How do I reset my password?", "I forgot my login and need a new one.", "What time does the museum open?"),
    ("The river flooded the village.", "Heavy rain put the town under water.", "She won the chess tournament."),
    (
        "The patient has a high fever.",
        "The sick man's temperature is very high.",
        "The patient lawyer waited for hours.",
    ),
)


def ask(url: str, path: str, **body: Any) -> Any:
    """Post a JSON body and return the answer. Raises httpx.HTTPStatusError with the server's words in the log."""
    answer = httpx.post(f"{url}{path}", json=body, timeout=SECONDS)
    if answer.is_error:
        raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
    return answer.json()


def dialogue(url: str, model: str) -> float:
    """The share of questions whose answer has the right word in it."""
    right = 0
    for question, word in FACTS:
        messages = [{"role": "user", "content": question}]
        answer = ask(url, "/v1/chat/completions", model=model, messages=messages, temperature=0, max_tokens=48)
        right += word in answer["choices"][0]["message"]["content"]
    return right / len(FACTS)


def sentiment(url: str, model: str) -> float:
    """The share of held-out sentences whose label is right."""
    examples = held_out()
    answer = ask(url, "/v1/classify", model=model, input=[example.text for example in examples])
    labels = [item["label"] for item in answer["data"]]
    right = sum(
        (label.lower() == "positive") == bool(example.label) for label, example in zip(labels, examples, strict=True)
    )
    return right / len(labels)


def similarity(url: str, model: str) -> float:
    """The share of triples in which a sentence is nearer to its paraphrase than to a stranger."""
    right = 0
    for sentences in TRIPLES:
        answer = ask(url, "/v1/embeddings", model=model, input=list(sentences))
        anchor, near, far = (item["embedding"] for item in answer["data"])
        right += _dot(anchor, near) > _dot(anchor, far)
    return right / len(TRIPLES)


def _dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
