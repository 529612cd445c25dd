"""Instances that are recordings, and transcripts."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from modelservice_runtime.protocols.strict import StrictBody
from modelservice_runtime.tasks.inputs import Audios, Span, SpeechOptions, Transcript

MAX_CHARACTERS = 64 << 20
SILENCE = (
    "data:audio/flac;base64,ZkxhQwAAACIQABAAAAANAAANAfQA8AAAAyBq0A9H2K1PEgBbIrLKpI94hAAAKCAAAAByZWZlcmVuY2UgbGliRkxBQyAx"
    "LjQuMyAyMDIzMDYyMwAAAAD/+HQIAAMf9wAAAEr4"
)


class AudioInstance(StrictBody):
    """A recording: the file as a `data:` URL or as base64."""

    audio: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]


class TranscriptParameters(StrictBody):
    """How to write down what is said; see `/v1/audio/transcriptions`. `segments` and `words` ask for their times."""

    language: Annotated[str, Field(min_length=2, max_length=32)] | None = None
    prompt: Annotated[str, Field(max_length=8192)] = ""
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    translate: bool = False
    segments: bool = False
    words: bool = False


def build_audios(instances: Sequence[AudioInstance], parameters: StrictBody) -> Audios:
    """Return the recordings as the request of a task that listens."""
    options = SpeechOptions()
    if isinstance(parameters, TranscriptParameters):
        options = SpeechOptions(**parameters.model_dump())
    fields = [f"instances.{index}.audio" for index in range(len(instances))]
    return Audios([instance.audio for instance in instances], fields, options)


def write_transcript(result: Transcript, parameters: TranscriptParameters) -> dict[str, Any]:
    """Return the text, the language where it is known, and the times that were asked for."""
    written: dict[str, Any] = {"text": result.text, "duration": round(result.seconds, 3)}
    if result.language is not None:
        written["language"] = result.language
    if parameters.segments:
        written["segments"] = [_write_span(span, "text") for span in result.segments]
    if parameters.words:
        written["words"] = [_write_span(span, "word") for span in result.words]
    return written


def _write_span(span: Span, name: str) -> dict[str, Any]:
    return {name: span.text, "start": span.start, "end": span.end}
