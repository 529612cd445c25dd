"""OpenAI's `/v1/audio/transcriptions` and `/v1/audio/translations`: the forms, and the five shapes of an answer."""

import math
import zlib
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from modelservice_runtime.protocols.strict import Name, StrictBody
from modelservice_runtime.tasks.inputs import Audios, Span, SpeechOptions, Transcript

LEAVE_OUT = "leave it out"
Format = Literal["json", "text", "srt", "verbose_json", "vtt"]


class TranslationForm(StrictBody):
    """Fields of a translation into English, besides `file`."""

    model: Name
    prompt: Annotated[str, Field(max_length=8192)] = ""
    response_format: Format = "json"
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def wants_segments(self) -> bool:
        """Whether the answer tells when segments were said."""
        return self.response_format in ("srt", "vtt", "verbose_json")

    def to_task(self, audio: bytes) -> Audios:
        """Return what the task reads."""
        options = SpeechOptions(
            prompt=self.prompt, temperature=self.temperature, translate=True, segments=self.wants_segments
        )
        return Audios([audio], ["file"], options)


class TranscriptionForm(TranslationForm):
    """Fields of a transcription, besides `file`."""

    unsupported: ClassVar = {
        "include": LEAVE_OUT,
        "chunking_strategy": LEAVE_OUT,
        "known_speaker_names": LEAVE_OUT,
        "known_speaker_references": LEAVE_OUT,
    }
    language: Annotated[str, Field(min_length=2, max_length=32)] | None = None
    timestamp_granularities: Annotated[list[Literal["word", "segment"]], Field(max_length=2)] = Field(default=[])
    stream: bool = False

    @model_validator(mode="after")
    def _fields_agree(self) -> "TranscriptionForm":
        if self.timestamp_granularities and self.response_format != "verbose_json":
            raise ValueError("timestamp_granularities is only allowed together with response_format verbose_json")
        if self.stream and self.response_format != "json":
            raise ValueError("stream is only allowed together with response_format json")
        return self

    @property
    def wants_words(self) -> bool:
        """Whether the answer tells when words were said."""
        return "word" in self.timestamp_granularities

    @property
    def wants_segments(self) -> bool:
        """Whether the answer tells when segments were said; the default of `verbose_json`."""
        return super().wants_segments and self.timestamp_granularities != ["word"]

    def to_task(self, audio: bytes) -> Audios:
        """Return what the task reads."""
        options = SpeechOptions(
            language=self.language,
            prompt=self.prompt,
            temperature=self.temperature,
            segments=self.wants_segments,
            words=self.wants_words,
        )
        return Audios([audio], ["file"], options)


class DurationUsage(BaseModel):
    """What a transcription is measured by."""

    type: Literal["duration"] = "duration"
    seconds: int


class Transcription(BaseModel):
    """Answer with `response_format: json`."""

    text: str
    usage: DurationUsage


class Segment(BaseModel):
    """A segment of `verbose_json`; what the model does not tell is null."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float | None
    compression_ratio: float
    no_speech_prob: None = None


class Word(BaseModel):
    """A word of `verbose_json`."""

    word: str
    start: float
    end: float


class VerboseTranscription(BaseModel):
    """Answer with `response_format: verbose_json`; `language` is the English name, null when the model tells none."""

    task: Literal["transcribe", "translate"]
    language: str | None
    duration: float
    text: str
    segments: list[Segment] = []
    words: list[Word] = []
    usage: DurationUsage


def usage_of(transcript: Transcript) -> DurationUsage:
    """Return the seconds that were heard, rounded up."""
    return DurationUsage(seconds=math.ceil(transcript.seconds))


def write_verbose(transcript: Transcript, form: TranslationForm) -> dict[str, Any]:
    """Return the answer in the shape `verbose_json`; times that were not asked for are left out."""
    wants_words = isinstance(form, TranscriptionForm) and form.wants_words
    words = [Word(word=span.text, start=span.start, end=span.end) for span in transcript.words]
    answer = VerboseTranscription(
        task="transcribe" if isinstance(form, TranscriptionForm) else "translate",
        language=transcript.language_name,
        duration=round(transcript.seconds, 3),
        text=transcript.text,
        segments=[_segment(index, span, form.temperature) for index, span in enumerate(transcript.segments)],
        words=words,
        usage=usage_of(transcript),
    )
    unasked = {"segments": form.wants_segments, "words": wants_words}
    return answer.model_dump(exclude={name for name, wanted in unasked.items() if not wanted})


def write_srt(segments: Iterable[Span]) -> str:
    """Return subtitles as SubRip."""
    blocks = (
        f"{number}\n{_clock(span.start, ',')} --> {_clock(span.end, ',')}\n{span.text.strip()}\n"
        for number, span in enumerate(segments, start=1)
    )
    return "\n".join(blocks)


def write_vtt(segments: Iterable[Span]) -> str:
    """Return subtitles as WebVTT."""
    blocks = (f"{_clock(span.start, '.')} --> {_clock(span.end, '.')}\n{span.text.strip()}\n" for span in segments)
    return "WEBVTT\n\n" + "\n".join(blocks)


def _segment(index: int, span: Span, temperature: float) -> Segment:
    data = span.text.encode()
    return Segment(
        id=index,
        seek=int(span.start * 100),
        start=span.start,
        end=span.end,
        text=span.text,
        tokens=list(span.tokens),
        temperature=temperature,
        avg_logprob=span.log_probability,
        compression_ratio=round(len(data) / len(zlib.compress(data)), 4) if data else 0.0,
    )


def _clock(seconds: float, separator: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{separator}{rest % 1000:03d}"
