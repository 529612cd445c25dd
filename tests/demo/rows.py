"""The rows of the demonstration: the work, the model that does it, what is measured, and the least to come out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.demo import measures

Measure = Callable[[str, str], float]
"""Takes the base URL of a server and the model's name; returns the figure."""


@dataclass(frozen=True)
class Row:
    """One row. `target` is the least value, or the greatest where `at_most` is set."""

    work: str
    model: str
    metric: str
    target: float
    measure: Measure
    at_most: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value meets the target."""
        return value <= self.target if self.at_most else value >= self.target

    def result(self, value: float) -> dict[str, Any]:
        """The row as `build/demo.json` has it."""
        return {
            "row": self.work,
            "model": self.model,
            "metric": self.metric,
            "value": round(value, 4),
            "target": self.target,
            "met": self.holds(value),
        }


ROWS = (
    Row("dialogue", "demo-chat", "answers that name the right thing", 1.0, measures.dialogue),
    Row("structured output", "demo-chat", "answers that follow their JSON schema", 1.0, measures.structured),
    Row("tool calls", "demo-chat", "required calls that parse", 1.0, measures.tools),
    Row("sentiment", "demo-sentiment", "accuracy", 0.90, measures.sentiment),
    Row("explanation", "demo-sentiment", "score lost above chance", 0.05, measures.explanations),
    Row("named entities", "demo-ner", "entity F1", 0.85, measures.entities),
    Row("similarity", "demo-embed", "triples told apart", 1.0, measures.similarity),
    Row("reranking", "demo-embed", "paraphrases ranked first", 1.0, measures.reranking),
    Row("text to image", "demo-image", "pictures recognised", 0.85, measures.pictures),
    Row("speech to text", "demo-whisper", "word error rate", 0.25, measures.transcripts, at_most=True),
    Row("spoken digits", "demo-speech", "word error rate", 0.10, measures.spoken_digits, at_most=True),
    Row("image classification", "demo-digits", "accuracy", 0.95, measures.digits),
    Row("object detection", "demo-detect", "AP50", 0.60, measures.shapes),
    Row("scene captions", "demo-scene", "captions right in things and relations", 0.85, measures.captions),
    Row("scene segmentation", "demo-segment", "mean IoU", 0.70, measures.regions),
)
