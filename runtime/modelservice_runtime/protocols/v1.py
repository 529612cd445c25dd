"""The V1 inference protocol (KServe): instances in, predictions out."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from modelservice_runtime.protocols.strict import StrictBody


class PredictRequest(StrictBody):
    """Body of `:predict`. What an instance and a parameter may be depends on the task; `/v1/models` names it."""

    instances: Annotated[list[Any], Field(min_length=1, max_length=2048)]
    parameters: dict[str, Any] = Field(default_factory=dict)


class PredictResponse(BaseModel):
    """Answer of `:predict`, one prediction for each instance."""

    predictions: list[Any]
