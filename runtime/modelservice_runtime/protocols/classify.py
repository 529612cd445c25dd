"""`/v1/classify`: labels with probabilities for texts."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from modelservice_runtime.protocols.openai_generation import Usage
from modelservice_runtime.protocols.strict import Name, StrictBody
from modelservice_runtime.tasks.inputs import Texts

InputText = Annotated[str, Field(min_length=1, max_length=4_000_000)]


class ClassifyRequest(StrictBody):
    """Body of `/v1/classify`; `top_k` 0 returns every label."""

    model: Name
    input: InputText | Annotated[list[InputText], Field(min_length=1, max_length=2048)]
    top_k: Annotated[int, Field(ge=0, le=1024)] = 0
    user: Annotated[str, Field(max_length=512)] | None = None

    def to_task(self) -> Texts:
        """Return what the task reads."""
        return Texts([self.input] if isinstance(self.input, str) else self.input)


class LabelScore(BaseModel):
    """A label and its probability."""

    label: str
    score: float


class Classification(BaseModel):
    """The labels of one input, the most likely first; `label` repeats the first."""

    index: int
    label: str
    score: float
    labels: list[LabelScore]


class ClassifyResponse(BaseModel):
    """Answer of `/v1/classify`."""

    object: Literal["list"] = "list"
    model: str
    data: list[Classification]
    usage: Usage
