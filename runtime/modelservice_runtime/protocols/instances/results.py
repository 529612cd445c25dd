"""What results look like as JSON values, and the parameters that shape them."""

import struct
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from modelservice_runtime.protocols.strict import StrictBody
from modelservice_runtime.tasks.entities import Strategy, TaggedText, find_entities
from modelservice_runtime.tasks.inputs import Answer, Fill, Label, Vector

COMPLETION_TOKENS = 64
Stop = Annotated[str, Field(min_length=1, max_length=64)]


class NoParameters(StrictBody):
    """Nothing can be chosen."""


class TopParameters(StrictBody):
    """`top_k` is how many labels are returned; 0 returns all."""

    top_k: Annotated[int, Field(ge=0, le=1024)] = 0


class EntityParameters(StrictBody):
    """How labelled tokens are joined to entities; see `tasks.entities`."""

    aggregation_strategy: Strategy = "simple"


class FillParameters(StrictBody):
    """`top_k` is how many tokens are proposed for each mask."""

    top_k: Annotated[int, Field(ge=1, le=100)] = 5


class AnswerParameters(StrictBody):
    """`top_k` is how many answers are returned to a question; none is longer than `max_answer_tokens`."""

    top_k: Annotated[int, Field(ge=1, le=20)] = 1
    max_answer_tokens: Annotated[int, Field(ge=1, le=128)] = 15


class RankingParameters(StrictBody):
    """`top_n` is how many documents are returned; without it all are."""

    top_n: Annotated[int, Field(ge=1, le=2048)] | None = None


class GenerationParameters(StrictBody):
    """How a prompt is continued; greedy unless a temperature is given."""

    max_new_tokens: Annotated[int, Field(ge=1, le=1 << 20)] = COMPLETION_TOKENS
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0, le=1024)] = 0
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    stop: Annotated[tuple[Stop, ...], Field(max_length=16)] = ()


def write_labels(result: Sequence[Label], parameters: TopParameters) -> list[dict[str, Any]]:
    """Return labels with their scores, the most likely first."""
    return [{"label": label.label, "score": label.score} for label in result[: parameters.top_k or None]]


def write_entities(result: TaggedText, parameters: EntityParameters) -> list[dict[str, Any]]:
    """Return the entities of a text in their order; `start` and `end` count characters."""
    return [asdict(entity) for entity in find_entities(result, parameters.aggregation_strategy)]


def write_fills(result: Sequence[Sequence[Fill]], _parameters: FillParameters) -> list[list[dict[str, Any]]]:
    """Return a list for each mask of the text, with the most likely tokens first."""
    return [[asdict(fill) for fill in mask] for mask in result]


def write_answers(result: Sequence[Answer], _parameters: AnswerParameters) -> list[dict[str, Any]]:
    """Return the answers, the best first; `start` and `end` count characters of the context."""
    return [asdict(answer) for answer in result]


def write_ranking(result: Sequence[float], parameters: RankingParameters) -> list[dict[str, Any]]:
    """Return the documents by their index, the most relevant first."""
    return [{"index": index, "relevance_score": score} for index, score in rank(result)[: parameters.top_n]]


def rank(scores: Sequence[float]) -> list[tuple[int, float]]:
    """Return indices with their scores, the highest score first."""
    return sorted(enumerate(scores), key=lambda pair: -pair[1])


def write_vector(result: Vector, _parameters: NoParameters) -> list[float]:
    """Return the numbers of a vector."""
    return list(struct.unpack(f"<{len(result.data) // 4}f", result.data))


def write_completion(result: Any, _parameters: GenerationParameters) -> dict[str, Any]:
    """Return the text that was generated and why it ended (`tasks.generation.Choice`)."""
    return {"text": result.text, "finish_reason": result.reason}
