"""One recording being written down by a Whisper: a chain of generations, each over a window of thirty seconds.

A dictation is what the scheduler asks about its sequence: it observes the tokens, knows the rules for the next one, and
says which window follows. Everything here runs on the torch thread, except the making of the first window.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import WhisperTimeStampLogitsProcessor

from modelservice_runtime.engine.generation import Generation
from modelservice_runtime.engine.sampling import Sampling
from modelservice_runtime.models.whisper_parts import Sound
from modelservice_runtime.tasks.inputs import Span
from modelservice_runtime.tasks.whisper_segments import FRAMES_PER_TIME, Part, cut_window
from modelservice_runtime.tasks.whisper_tokens import WhisperTokens
from modelservice_runtime.tasks.whisper_words import group_words

FRAMES_PER_SECOND = 100


@dataclass(frozen=True, slots=True)
class Scribe:
    """What all dictations of a model share; `frames` of one window, `longest` sequence of the decoder.

    `token_ends(sound, opening, written, places)` gives the second at which each token of a window was said.
    """

    tokens: WhisperTokens
    config: Any
    frames: int
    longest: int
    decode: Callable[[Sequence[int]], str]
    token_ends: Callable[[Sound, Sequence[int], Sequence[int], int], list[float]]


@dataclass
class Dictation:
    """Implements `Observer` and `LogitRules` for the windows of one recording.

    `features` [mels, frames] of the recording, which lasts `seconds`, `frames` of them without the silence that fills
    the first window; `language` a code, or None until the first window tells; `prompt` the tokens of what was said
    before; `timed` whether segments get times, without which there is one window; `worded` whether words do.
    """

    scribe: Scribe
    features: Any
    seconds: float
    frames: int
    language: str | None
    translate: bool
    prompt: Sequence[int]
    timed: bool
    worded: bool
    sampling: Sampling
    spans: list[Span] = field(default_factory=list)
    words: list[Span] = field(default_factory=list)
    _sound: Sound | None = None
    _seek: int = 0
    _start: tuple[int, ...] = ()
    _forced: list[frozenset[int]] = field(default_factory=list)
    _written: list[int] = field(default_factory=list)
    _scores: list[float] = field(default_factory=list)
    _logits: Any = None
    _timing: Any = None

    def window(self) -> Generation:
        """Return the generation of the window at the present place."""
        self._start, self._forced = self._opening()
        self._written, self._scores, self._timing = [], [], None
        features = self.features[:, self._seek : self._seek + self.scribe.frames]
        missing = self.scribe.frames - features.shape[1]
        self._sound = Sound(np.pad(features, ((0, 0), (0, missing))) if missing else features)
        return Generation(
            self._start,
            self.scribe.longest - len(self._start),
            self.sampling,
            frozenset([self.scribe.tokens.end]),
            self,
            source=self._sound,
            rules=self,
            follow=self.follow,
        )

    def _opening(self) -> tuple[tuple[int, ...], list[frozenset[int]]]:
        """Return the decoder's prompt, and the choices of its first tokens where the language must be found."""
        tokens = self.scribe.tokens
        before = (tokens.previous, *self.prompt) if self.prompt and self._seek == 0 else ()
        task = [tokens.translate if self.translate else tokens.transcribe] if tokens.languages else []
        task += [] if self.timed else [tokens.no_times]
        if not tokens.languages or self.language is not None:
            language = [tokens.languages[self.language or ""]] if tokens.languages else []
            return (*before, tokens.start, *language, *task), []
        return (*before, tokens.start), [frozenset(tokens.languages.values()), *(frozenset([each]) for each in task)]

    def apply(self, tokens: Sequence[int], logits: Any) -> Any:
        """Return the logits that Whisper's rules leave."""
        made = len(tokens) - len(self._start)
        if made < len(self._forced):
            allowed = list(self._forced[made])
            self._logits = torch.full_like(logits, -torch.inf)
            self._logits[allowed] = logits[allowed]
            return self._logits
        config = self.scribe.config
        self._suppress(logits, config.suppress_tokens)
        if made == len(self._forced):
            self._suppress(logits, config.begin_suppress_tokens)
        self._logits = self._time(tokens, logits) if self.timed else logits
        return self._logits

    def _suppress(self, logits: Any, tokens: Sequence[int] | None) -> None:
        """Forbid tokens by their number: transformers' own rules look every token of the vocabulary up, each time."""
        if tokens:
            logits[list(tokens)] = -torch.inf

    def _time(self, tokens: Sequence[int], logits: Any) -> Any:
        """Return the logits that the order of time tokens leaves."""
        if self._timing is None:
            begin = len(self._start) + len(self._forced)
            self._timing = WhisperTimeStampLogitsProcessor(self.scribe.config, begin)
        return self._timing(torch.tensor([tokens], device=logits.device), logits[None])[0]

    def push(self, token: int) -> tuple[str, bool]:
        """Take a token; text is certain only when its window is complete."""
        self._written.append(token)
        if self.timed:
            self._scores.append(float(self._logits[token] - self._logits.logsumexp(dim=-1)))
        return "", False

    def finish(self) -> str:
        """Cut what was written into segments; return their text."""
        if self._forced and self.language is None and self._written:
            codes = {token: code for code, token in self.scribe.tokens.languages.items()}
            self.language = codes.get(self._written[0])
        written, scores = self._written[len(self._forced) :], self._scores[len(self._forced) :]
        frames = min(self.scribe.frames, self.frames - self._seek)
        parts, ahead = [Part(0.0, self.seconds, 0, len(written))], frames
        if self.timed:
            parts, ahead = cut_window(written, self.scribe.tokens.first_time, frames)
        offset, known = self._seek / FRAMES_PER_SECOND, len(self.spans)
        if self.worded and written:
            self._time_words(written, parts, offset, frames)
        for part in parts:
            text = self.scribe.decode([token for token in written[part.first : part.last] if self._is_text(token)])
            mean = float(np.mean(scores[part.first : part.last])) if scores[part.first : part.last] else 0.0
            if text.strip():
                start, end = (round(min(offset + at, self.seconds), 2) for at in (part.start, part.end))
                self.spans.append(Span(text, start, end, tuple(written[part.first : part.last]), mean))
        self._seek += ahead
        return "".join(span.text for span in self.spans[known:])

    def _time_words(self, written: Sequence[int], parts: Sequence[Part], offset: float, frames: int) -> None:
        """Add the words of a window; each token begins where the one before it ends."""
        opening = [*self._start, *self._written[: len(self._forced)]]
        sound, self._sound = self._sound, None
        if sound is None:
            raise RuntimeError("a window is finished once")
        ends = self.scribe.token_ends(sound, opening, written, frames // FRAMES_PER_TIME)
        begins = [0.0, *ends]
        for part in parts:
            places = [place for place in range(part.first, part.last) if self._is_text(written[place])]
            ids = [written[place] for place in places]
            for word in group_words(ids, self.scribe.decode, self.language):
                first, last = begins[places[word.first]], ends[places[word.last - 1]]
                start, end = (round(min(offset + at, self.seconds), 2) for at in (first, last))
                if word.text.strip():
                    self.words.append(Span(word.text.strip(), start, end))

    def follow(self) -> Generation | None:
        """Return the next window, None when the recording is over."""
        return self.window() if self._seek < self.frames else None

    def _is_text(self, token: int) -> bool:
        return token < self.scribe.tokens.end
