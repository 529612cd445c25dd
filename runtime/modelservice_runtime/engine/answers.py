"""What clients of the slot scheduler are told: text that is certain, log-probabilities, the end, a failure."""

import time

from modelservice_runtime.engine.generation import Completion, Generation, Sequence
from modelservice_runtime.engine.scheduling import (
    Done,
    Failed,
    ForwardFailed,
    Meter,
    Outbox,
    Piece,
    Progress,
    TokenLogprob,
)


class Answers:
    """Routes the tokens of sequences to their clients; `max_length` ends every sequence."""

    def __init__(self, outbox: Outbox, meter: Meter, max_length: int) -> None:
        self._outbox = outbox
        self._meter = meter
        self._max_length = max_length

    def add(self, sequence: Sequence, token: int, logprob: TokenLogprob | None) -> str:
        """Append a token and tell its text; return why the sequence ends with it, an empty string when it goes on."""
        self._measure(sequence)
        request = sequence.request
        sequence.tokens.append(token)
        if token in request.end_ids:
            return "stop"
        if logprob is not None:
            sequence.logprobs.append(logprob)
        text, stopped = request.observer.push(token)
        self._tell(sequence, text)
        made = len(sequence.tokens) - sequence.prompt_length
        full = made >= request.max_new_tokens or len(sequence.tokens) >= self._max_length
        return "stop" if stopped else "length" if full else ""

    def complete(self, sequence: Sequence, reason: str) -> Generation | None:
        """Hand over the rest; return what follows for the same client, or None when that was all.

        Whatever the client's own observers raise is this client's failure alone.
        """
        try:
            return self._hand_over(sequence, reason)
        except Exception as error:
            failure = ForwardFailed(f"the answer could not be completed: {type(error).__name__}")
            failure.__cause__ = error
            self._outbox.post(sequence.ticket, Failed(failure))
            return None

    def _measure(self, sequence: Sequence) -> None:
        now = time.monotonic()
        if sequence.last_token_at == 0.0:
            self._meter.first_token(now - sequence.ticket.submitted_at)
        else:
            self._meter.next_token(now - sequence.last_token_at)
        sequence.last_token_at = now
        self._meter.tokens("completion", 1)

    def _hand_over(self, sequence: Sequence, reason: str) -> Generation | None:
        request = sequence.request
        self._tell(sequence, request.observer.finish(), is_last=True)
        following = request.follow() if request.follow else None
        if following is None:
            tokens = tuple(sequence.tokens[sequence.prompt_length :])
            text, logprobs = "".join(sequence.pieces), tuple(sequence.logprobs)
            completion = Completion(reason, tokens, text, logprobs, sequence.cached)
            self._outbox.post(sequence.ticket, Done(completion))
        return following

    def _tell(self, sequence: Sequence, text: str, *, is_last: bool = False) -> None:
        """Send text that is certain; log-probabilities wait for the text of their tokens."""
        waiting = tuple(sequence.logprobs[sequence.told :])
        if text or (is_last and waiting):
            sequence.pieces.append(text)
            sequence.told = len(sequence.logprobs)
            self._outbox.post(sequence.ticket, Progress(Piece(text, waiting)))
