"""`/v1/explain` and `:explain`: why the model answered as it did."""

import base64
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from modelservice_runtime.protocols.strict import Name, StrictBody
from modelservice_runtime.tasks.explaining import ExplainOptions, Explanation

MOST_INPUTS = 16

Instance = str | dict[str, Any]


class ExplainParameters(StrictBody):
    """How to explain: `target` is a label (default: the predicted one), `baseline` an input that says nothing.

    `steps` counts for integrated gradients only.
    """

    method: Literal["gradient", "integrated_gradients", "occlusion", "attention"] = "integrated_gradients"
    target: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    baseline: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    steps: Annotated[int, Field(ge=4, le=256)] = 32

    def to_options(self) -> ExplainOptions:
        """Return what tasks read."""
        return ExplainOptions(self.method, self.target, self.baseline, self.steps)


class ExplainRequest(ExplainParameters):
    """Body of `/v1/explain`; an input is what the task reads: a text, or an instance of `:predict`."""

    model: Name
    input: Instance | Annotated[list[Instance], Field(min_length=1, max_length=MOST_INPUTS)]

    @property
    def instances(self) -> list[Instance]:
        """Return the inputs as a list."""
        return self.input if isinstance(self.input, list) else [self.input]


class ExplainInstancesRequest(StrictBody):
    """Body of `:explain`."""

    instances: Annotated[list[Any], Field(min_length=1, max_length=MOST_INPUTS)]
    parameters: ExplainParameters = Field(default_factory=ExplainParameters)


class TargetLabel(BaseModel):
    """The label that is explained, its probability, and the stretch of text that carries it, where a text has many."""

    label: str
    score: float
    start: int | None = None
    end: int | None = None


class BaselineAnswer(BaseModel):
    """What the input was compared with, and the label's probability for that."""

    name: str
    score: float


class TokenAttribution(BaseModel):
    """A piece of the text, in characters, and what it added to the label, in log-odds."""

    text: str
    start: int
    end: int
    score: float


class ImageAttribution(BaseModel):
    """What each part of the picture added: a grid of rows, and a picture (base64 PNG with transparency) to lay over."""

    grid: list[list[float]]
    heat_map: str
    width: int
    height: int


class ExplanationBody(BaseModel):
    """An explanation; exactly one of `tokens` and `image` is given. `convergence_delta` is null where none exists."""

    method: str
    target: TargetLabel
    baseline: BaselineAnswer
    convergence_delta: float | None
    tokens: list[TokenAttribution] | None = None
    image: ImageAttribution | None = None


class IndexedExplanation(ExplanationBody):
    """An explanation and the index of its input."""

    index: int


class ExplainResponse(BaseModel):
    """Answer of `/v1/explain`."""

    object: Literal["list"] = "list"
    model: str
    data: list[IndexedExplanation]


class ExplainInstancesResponse(BaseModel):
    """Answer of `:explain`, one explanation for each instance."""

    explanations: list[ExplanationBody]


def write_explanation(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values."""
    start, end = explanation.place or (None, None)
    body: dict[str, Any] = {
        "method": explanation.method,
        "target": {"label": explanation.label, "score": explanation.score, "start": start, "end": end},
        "baseline": {"name": explanation.baseline, "score": explanation.baseline_score},
        "convergence_delta": explanation.delta,
    }
    if explanation.text is not None:
        body["tokens"] = [
            {"text": token.text, "start": token.start, "end": token.end, "score": token.score}
            for token in explanation.text
        ]
    if (image := explanation.image) is not None:
        heat_map = base64.b64encode(image.png).decode()
        body["image"] = {"grid": image.grid, "heat_map": heat_map, "width": image.width, "height": image.height}
    return body
