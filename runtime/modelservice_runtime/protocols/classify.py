"""`/v1/classify`: labels with probabilities for texts or images, as the served task has it."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from modelservice_runtime.protocols.instances.images import ImageInstance
from modelservice_runtime.protocols.openai_generation import Usage
from modelservice_runtime.protocols.strict import Name, StrictBody
from modelservice_runtime.tasks.inputs import Images, InvalidInput, Texts

TEXT_TASKS = ("text-classification",)
IMAGE_TASKS = ("image-classification",)
InputText = Annotated[str, Field(min_length=1, max_length=4_000_000)]


class ClassifyRequest(StrictBody):
    """Body of `/v1/classify`; `top_k` 0 returns every label."""

    model: Name
    input: (
        InputText
        | ImageInstance
        | Annotated[list[InputText], Field(min_length=1, max_length=2048)]
        | Annotated[list[ImageInstance], Field(min_length=1, max_length=2048)]
    )
    top_k: Annotated[int, Field(ge=0, le=1024)] = 0
    user: Annotated[str, Field(max_length=512)] | None = None

    def to_task(self, task: str) -> Texts | Images:
        """Return what the task reads. Raises InvalidInput when it reads something else."""
        inputs = self.input if isinstance(self.input, list) else [self.input]
        images = [each.image for each in inputs if isinstance(each, ImageInstance)]
        if task in IMAGE_TASKS:
            if not images:
                raise InvalidInput("input", 'this model reads images; send {"image": "data:image/png;base64,..."}')
            return Images(images, "input.{}.image" if isinstance(self.input, list) else "input.image")
        if images:
            raise InvalidInput("input", "this model reads texts, not images")
        return Texts([each for each in inputs if isinstance(each, str)])


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
