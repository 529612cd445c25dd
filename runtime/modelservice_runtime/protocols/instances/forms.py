"""The kinds of inputs and results, and the two ways through them: values to a request, results to values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from modelservice_runtime.protocols.instances import drawings, images, pairs, pictures, results, sounds, texts
from modelservice_runtime.protocols.strict import StrictBody


@dataclass(frozen=True, slots=True)
class Reads:
    """A kind of input.

    `instance` is the model of one input as a JSON object; a value that is no object stands for its field `bare`.
    `build` turns all instances of a call, and its parameters, into the task's request. `example` is one instance.
    """

    instance: type[StrictBody]
    bare: str
    build: Callable[[Sequence[Any], Any], Any]
    example: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gives:
    """A kind of result: the parameters that a call may carry, and how one result becomes a JSON value.

    `slow` results are written on the CPU pool, not on the event loop.
    """

    parameters: type[StrictBody]
    write: Callable[[Any, Any], Any]
    slow: bool = False


DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)

READS: Mapping[str, Reads] = {
    "text": Reads(texts.TextInstance, "text", texts.build_texts, {"text": "I enjoyed every minute of it."}),
    "text_or_pair": Reads(
        texts.TextOrPairInstance, "text", texts.build_texts_or_pairs, {"text": "I enjoyed every minute of it."}
    ),
    "candidates": Reads(
        pairs.CandidatesInstance,
        "text",
        pairs.build_candidates,
        {"text": "The match was decided in the last minute.", "candidate_labels": ["sport", "politics", "cooking"]},
    ),
    "question": Reads(
        pairs.QuestionInstance,
        "question",
        pairs.build_questions,
        {"question": "Where does Ada live?", "context": "Ada is a teacher and lives in Turin with two cats."},
    ),
    "query": Reads(
        pairs.QueryInstance,
        "query",
        pairs.build_queries,
        {"query": "how to bake bread", "documents": ["Mix flour, water and yeast.", "The train was late."]},
    ),
    "masked": Reads(texts.MaskedInstance, "text", texts.build_masked, {"text": "Paris is the [MASK] of France."}),
    "prompt": Reads(texts.PromptInstance, "prompt", texts.build_prompts, {"prompt": "Once upon a time"}),
    "image_prompt": Reads(
        pictures.ImagePromptInstance, "image", pictures.build_image_prompts, {"image": DOT, "prompt": "a picture of"}
    ),
    "picture_prompt": Reads(
        drawings.PicturePromptInstance, "prompt", drawings.build_picture_prompts, {"prompt": "a photo of a red fox"}
    ),
    "image": Reads(images.ImageInstance, "image", images.build_images, images.EXAMPLE),
    "image+candidates": Reads(
        images.CandidatesInstance,
        "image",
        images.build_candidates,
        images.EXAMPLE | {"candidate_labels": ["a cat", "a dog"]},
    ),
    "audio": Reads(sounds.AudioInstance, "audio", sounds.build_audios, {"audio": sounds.SILENCE}),
}
GIVES: Mapping[str, Gives] = {
    "labels": Gives(results.TopParameters, results.write_labels),
    "entities": Gives(results.EntityParameters, results.write_entities),
    "fills": Gives(results.FillParameters, results.write_fills),
    "answers": Gives(results.AnswerParameters, results.write_answers),
    "ranking": Gives(results.RankingParameters, results.write_ranking),
    "vector": Gives(results.NoParameters, results.write_vector),
    "completion": Gives(results.GenerationParameters, results.write_completion),
    "picture": Gives(drawings.PictureParameters, drawings.write_picture),
    "boxes": Gives(images.DetectionParameters, images.write_boxes),
    "masks": Gives(images.MaskParameters, images.write_masks, slow=True),
    "transcript": Gives(sounds.TranscriptParameters, sounds.write_transcript),
}


class InvalidInstances(ValueError):  # noqa: N818 - named for the situation
    """Instances or parameters do not fit the task."""

    def __init__(self, errors: Sequence[ErrorDetails]) -> None:
        super().__init__("the instances do not fit the task")
        self._errors = errors

    def errors(self) -> Sequence[ErrorDetails]:
        """Return pydantic's complaints, with the path in the body."""
        return self._errors


def read_instances(
    reads: str, gives: str, instances: Sequence[Any], parameters: Mapping[str, Any]
) -> tuple[Any, StrictBody]:
    """Return the task's request and the validated parameters. Raises InvalidInstances."""
    form = READS[reads]
    errors: list[ErrorDetails] = []
    validated = [
        _validate(form.instance, value if isinstance(value, Mapping) else {form.bare: value}, ("instances", i), errors)
        for i, value in enumerate(instances)
    ]
    known = _validate(GIVES[gives].parameters, parameters, ("parameters",), errors)
    if errors or known is None:
        raise InvalidInstances(errors)
    return form.build(validated, known), known


def write_results(gives: str, results_: Sequence[Any], parameters: StrictBody) -> list[Any]:
    """Return one JSON value for each result."""
    return [GIVES[gives].write(result, parameters) for result in results_]


def is_slow(gives: str) -> bool:
    """Tell whether writing results of a kind takes long enough to hold up the event loop."""
    return GIVES[gives].slow


def example_of(reads: str) -> dict[str, Any]:
    """Return an instance of a kind, for documentation."""
    return dict(READS[reads].example)


def _validate(
    model: type[StrictBody], value: Any, place: tuple[str | int, ...], errors: list[ErrorDetails]
) -> StrictBody | None:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors.extend({**detail, "loc": (*place, *detail["loc"])} for detail in error.errors())
        return None
