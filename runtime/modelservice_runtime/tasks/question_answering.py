"""Extractive question answering: the stretch of a passage that answers a question.

A passage that is longer than the model reads is cut into overlapping windows, each read together with the question. In
each window every token has a probability of beginning the answer and one of ending it (over the passage's tokens); a
stretch scores the product of both, and the best stretches of all windows, widened to whole words, are the answers. This
is what the question-answering pipeline of transformers did until it was removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import AutoModelForQuestionAnswering

from modelservice_runtime.models.encoder import PairTokens, TextEncoder
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import check_count, field_of, load_encoder, make_scheduler
from modelservice_runtime.tasks.inputs import Answer, InvalidInput, Item, Question, Questions

WINDOW = 384
OVERLAP = 128
LEAST_ROOM = 16

Span = tuple[float, int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """The question with a part of its passage.

    `first` is the place of the part's first token in the row, `places` are the words of its tokens in the passage, in
    characters; `question` is the index of the question in the request.
    """

    tokens: PairTokens
    first: int
    places: Sequence[tuple[int, int]]
    question: int
    top_k: int
    max_answer_tokens: int


class QuestionAnsweringTask:
    """Implements `LoadedTask`."""

    def __init__(self, context: TaskContext, encoder: TextEncoder, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run)
        self._encoder = encoder
        self._most = context.settings.limits.max_inputs

    def warm_up(self) -> None:
        """Run a small batch."""
        sample = Question("a question", "a few words to warm up with")
        self.run([item.value for item in self.prepare(Questions([sample, sample], 1, 1))])

    def prepare(self, request: Questions) -> Sequence[Item]:
        """Cut each passage into windows."""
        check_count(len(request.questions), self._most)
        windows: list[Window] = []
        for index, question in enumerate(request.questions):
            windows += self._cut(question, index, request)
            if len(windows) > self._most:
                raise InvalidInput(
                    "context", f"the passages make more than {self._most} windows of {WINDOW} tokens; send shorter ones"
                )
        return [Item(window, len(window.tokens.ids)) for window in windows]

    def _cut(self, question: Question, index: int, request: Questions) -> list[Window]:
        """Return the windows of a passage; all hold the question and the special tokens around both."""
        encoding = self._encoder.encode(question.question, question.context)
        ids, segments, parts = encoding.ids, encoding.type_ids, encoding.sequence_ids
        inside = [place for place, part in enumerate(parts) if part == 1]
        if not inside:
            raise InvalidInput(field_of("context", index, len(request.questions)), "the passage has no words")
        first, end = inside[0], inside[-1] + 1
        room = min(self._encoder.longest, WINDOW) - (len(ids) - (end - first))
        if room < LEAST_ROOM:
            raise InvalidInput(
                field_of("question", index, len(request.questions)),
                f"the question leaves no room for the passage: together they may have {self._encoder.longest} tokens",
                reason="too_long",
            )
        places = _places(encoding.word_ids[first:end], encoding.offsets[first:end])
        windows = []
        for start in _starts(end - first, room)[: self._most + 1]:
            part = slice(first + start, min(first + start + room, end))
            tokens = PairTokens(
                [*ids[:first], *ids[part], *ids[end:]], [*segments[:first], *segments[part], *segments[end:]]
            )
            inner = places[start : start + room]
            windows.append(Window(tokens, first, inner, index, request.top_k, request.max_answer_tokens))
        return windows

    def run(self, batch: Sequence[Window]) -> list[list[Span]]:
        """Return the best stretches of each window as (score, start, end), different ones only, the best first."""
        output, _ = self._encoder.forward([window.tokens for window in batch])
        starts, ends = output.start_logits.float().cpu().numpy(), output.end_logits.float().cpu().numpy()
        return [
            _best(window, *_cut_out(window, start, end)) for window, start, end in zip(batch, starts, ends, strict=True)
        ]

    def finish(self, request: Questions, items: Sequence[Item], results: Sequence[list[Span]]) -> list[list[Answer]]:
        """Return the best answers to each question over all of its windows."""
        found: list[list[Span]] = [[] for _ in request.questions]
        for item, spans in zip(items, results, strict=True):
            found[item.value.question] += spans
        answers = []
        for question, spans in zip(request.questions, found, strict=True):
            kept = _different(sorted(spans, key=lambda span: -span[0]), request.top_k)
            answers.append([Answer(question.context[start:end], score, start, end) for score, start, end in kept])
        return answers


def _starts(length: int, room: int) -> range:
    """Return where windows begin: each but the last ends inside the passage, and neighbours overlap."""
    step = room - min(OVERLAP, room // 2)
    return range(0, max(1, length - room + step), step)


def _places(words: Sequence[int | None], offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return for each token the characters of the word that it belongs to; a token without one stands for itself."""
    whole: dict[int, tuple[int, int]] = {}
    for word, (start, end) in zip(words, offsets, strict=True):
        if word is not None:
            whole[word] = (min(start, whole.get(word, (start, end))[0]), end)
    return [offset if word is None else whole[word] for word, offset in zip(words, offsets, strict=True)]


def _cut_out(window: Window, start: Any, end: Any) -> tuple[Any, Any]:
    """Return the probabilities of the passage's tokens."""
    part = slice(window.first, window.first + len(window.places))
    return _softmax(start[part]), _softmax(end[part])


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def _best(window: Window, start: Any, end: Any) -> list[Span]:
    """Score all stretches of up to `max_answer_tokens` tokens, one row for each length, and return the best."""
    count = len(window.places)
    scores = np.zeros((min(window.max_answer_tokens, count), count), np.float32)
    for length in range(len(scores)):
        scores[length, : count - length] = start[: count - length] * end[length:]
    ordered = (divmod(int(index), count) for index in np.argsort(-scores, axis=None, kind="stable"))
    spans = (
        (float(scores[length, first]), window.places[first][0], window.places[first + length][1])
        for length, first in ordered
        if first + length < count
    )
    return _different(spans, window.top_k)


def _different(spans: Any, count: int) -> list[Span]:
    """Return the first `count` stretches that differ in their places."""
    kept: dict[tuple[int, int], Span] = {}
    for span in spans:
        kept.setdefault(span[1:], span)
        if len(kept) == count:
            break
    return list(kept.values())


def load(context: TaskContext) -> QuestionAnsweringTask:
    """Load tokenizer and model. Raises RuntimeFault."""
    encoder, facts = load_encoder(context, AutoModelForQuestionAnswering)
    return QuestionAnsweringTask(context, encoder, facts)
