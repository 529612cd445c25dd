"""`/v1/classify`: labels with probabilities for texts or images, or entities in texts, as the served task has it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from modelservice_runtime.protocols.instances.images import ImageInstance
from modelservice_runtime.protocols.instances.pairs import TEMPLATE, CandidateLabels, Template
from modelservice_runtime.protocols.instances.texts import NonEmpty, TextOrPairInstance
from modelservice_runtime.protocols.openai_generation import Usage
from modelservice_runtime.protocols.strict import Name, StrictBody
from modelservice_runtime.tasks.entities import Strategy, TaggedText, find_entities
from modelservice_runtime.tasks.inputs import Candidates, CandidateTexts, Images, InvalidInput, Label, TextPair, Texts

IMAGE_TASKS = ("image-classification",)
TASKS = ("text-classification", "token-classification", "zero-shot-classification", *IMAGE_TASKS)
OF_TASKS = {
    "top_k": ("text-classification", "zero-shot-classification", *IMAGE_TASKS),
    "aggregation_strategy": ("token-classification",),
    "candidate_labels": ("zero-shot-classification",),
    "hypothesis_template": ("zero-shot-classification",),
    "multi_label": ("zero-shot-classification",),
}

Input = NonEmpty | TextOrPairInstance | ImageInstance


class ClassifyRequest(StrictBody):
    """Body of `/v1/classify`.

    Which fields mean something depends on the served task: `candidate_labels` (needed), `hypothesis_template` and
    `multi_label` are for zero-shot classification, `aggregation_strategy` is for that of tokens; `top_k`, 0 returns
    every label, is for all but tokens. An input with a `text_pair` is for classifiers of two texts.
    """

    model: Name
    input: Input | Annotated[list[Input], Field(min_length=1, max_length=2048)]
    top_k: Annotated[int, Field(ge=0, le=1024)] = 0
    aggregation_strategy: Strategy = "simple"
    candidate_labels: CandidateLabels | None = None
    hypothesis_template: Template = TEMPLATE
    multi_label: bool = False
    user: Annotated[str, Field(max_length=512)] | None = None

    def to_task(self, task: str) -> Texts | CandidateTexts | Images:
        """Return what the task reads. Raises InvalidInput for a field that means nothing to it, or is missing."""
        for field, tasks in OF_TASKS.items():
            if field in self.model_fields_set and task not in tasks:
                raise InvalidInput(field, f"{field} means nothing to {task}, which is served here; leave it out")
        if task in IMAGE_TASKS:
            return self._images()
        texts = self._texts()
        if task == "text-classification":
            return Texts(texts)
        plain = [text for text in texts if isinstance(text, str)]
        if len(plain) < len(texts):
            raise InvalidInput("input", f"{task}, which is served here, reads single texts; leave text_pair out")
        return self._with_labels(plain) if task == "zero-shot-classification" else Texts(plain)

    def _inputs(self) -> Sequence[Input]:
        return self.input if isinstance(self.input, list) else [self.input]

    def _images(self) -> Images:
        images = [each.image for each in self._inputs() if isinstance(each, ImageInstance)]
        if len(images) < len(self._inputs()):
            raise InvalidInput("input", 'this model reads images; send {"image": "data:image/png;base64,..."}')
        return Images(images, "input.{}.image" if isinstance(self.input, list) else "input.image")

    def _texts(self) -> list[str | TextPair]:
        texts = []
        for each in self._inputs():
            if isinstance(each, ImageInstance):
                raise InvalidInput("input", "this model reads texts, not images")
            texts.append(each if isinstance(each, str) else each.to_task())
        return texts

    def _with_labels(self, texts: Sequence[str]) -> CandidateTexts:
        labels = self.candidate_labels
        if not labels:
            raise InvalidInput("candidate_labels", "this model chooses among labels that you name; name them")
        return CandidateTexts([Candidates(text, labels, self.hypothesis_template, self.multi_label) for text in texts])


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


class EntitySpan(LabelScore):
    """An entity; `start` and `end` count characters of the input."""

    start: int
    end: int
    text: str


class Entities(BaseModel):
    """The entities of one input in their order."""

    index: int
    entities: list[EntitySpan]


class ClassifyResponse(BaseModel):
    """Answer of `/v1/classify`."""

    object: Literal["list"] = "list"
    model: str
    data: list[Classification] | list[Entities]
    usage: Usage


def write_classifications(results: Sequence[Sequence[Label]], body: ClassifyRequest) -> list[Classification]:
    """Return the labels of each input, as many as were asked for."""
    data = []
    for index, labels in enumerate(results):
        kept = [LabelScore(label=label.label, score=label.score) for label in labels[: body.top_k or None]]
        data.append(Classification(index=index, label=kept[0].label, score=kept[0].score, labels=kept))
    return data


def write_entities(results: Sequence[TaggedText], body: ClassifyRequest) -> list[Entities]:
    """Return the entities of each input."""
    return [
        Entities(
            index=index,
            entities=[
                EntitySpan(label=found.label, score=found.score, start=found.start, end=found.end, text=found.text)
                for found in find_entities(tagged, body.aggregation_strategy)
            ],
        )
        for index, tagged in enumerate(results)
    ]
