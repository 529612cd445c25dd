"""What results look like as JSON values, and the parameters that shape them."""

import struct
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from modelservice_runtime.protocols.strict import StrictBody
from modelservice_runtime.tasks.inputs import Label, Vector

COMPLETION_TOKENS = 64
Stop = Annotated[str, Field(min_length=1, max_length=64)]


class NoParameters(StrictBody):
    """Nothing can be chosen."""


class TopParameters(StrictBody):
    """`top_k` is how many labels are returned; 0 returns all."""

    top_k: Annotated[int, Field(ge=0, le=1024)] = 0


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


def write_vector(result: Vector, _parameters: NoParameters) -> list[float]:
    """Return the numbers of a vector."""
    return list(struct.unpack(f"<{len(result.data) // 4}f", result.data))


def write_completion(result: Any, _parameters: GenerationParameters) -> dict[str, Any]:
    """Return the text that was generated and why it ended (`tasks.generation.Choice`)."""
    return {"text": result.text, "finish_reason": result.reason}
