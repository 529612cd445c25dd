"""Continuous batching for decoders over a slot KV cache.

Each step: drop what was cancelled, prefill up to a budget of prompt tokens (so that long prompts cannot starve the
sequences that are being decoded), then decode one token for every running sequence in one forward pass, sample each
row with its own parameters, and route the text. Sequences join and leave between steps, never waiting for one another.

Admission is optimistic: a sequence needs room for its prompt only. When the cache's budget is spent while decoding,
the youngest sequence is preempted: its row is dropped, and it goes back to the head of the queue with the tokens it
has, to be prefilled again (recomputation costs one prefill; swapping would cost memory that is not there).

The scheduler knows rows and tokens. What a model is and how logits come about is the runner's business; what text is
and when it ends is the observer's.
"""

import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelservice_runtime.engine.intake import Intake, drain_intake
from modelservice_runtime.engine.sampling import (
    LogitRules,
    Sampling,
    apply_rules,
    choose_tokens,
    make_generator,
    measure_token,
)
from modelservice_runtime.engine.scheduling import (
    Cancelled,
    Done,
    Failed,
    ForwardFailed,
    Meter,
    Outbox,
    Piece,
    Progress,
    Stats,
    Ticket,
    TokenLogprob,
)


class Observer(Protocol):
    """Follows the tokens of one sequence on the torch thread; cheap, never blocks."""

    def push(self, token: int) -> tuple[str, bool]:
        """Take a token; return the text that is now certain, and whether a stop string ended the sequence."""

    def finish(self) -> str:
        """Return the text that was still held back."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a client submits. `end_ids` end the sequence and are counted, but give no text.

    `source` is what the model reads besides the prompt (the text, spectrogram or image of an encoder-decoder), in the
    form that its runner expects, and `source_tokens` what it counts for in the usage; None for models that read tokens
    only. `rules` forbid or favour tokens. `follow` is asked, after the observer's `finish`, what to generate next for
    the same client before it is told `Done`: a long recording is a chain of generations, each from where the last one
    ended.
    """

    prompt: Seq[int]
    max_new_tokens: int
    sampling: Sampling
    end_ids: frozenset[int]
    observer: Observer
    source: Any = None
    source_tokens: int = 0
    rules: LogitRules | None = None
    follow: Callable[[], "Generation | None"] | None = None

    @property
    def prompt_tokens(self) -> int:
        """Tokens that the client is told to have sent; the prompt of an encoder-decoder is not the client's."""
        return self.source_tokens or len(self.prompt)


@dataclass(frozen=True, slots=True)
class Completion:
    """The value of `Done`: why the sequence ended (`stop` or `length`), its new tokens, and all of its text.

    `logprobs` holds one entry for each token that made text, when they were asked for.
    """

    reason: str
    tokens: tuple[int, ...]
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()


class DecoderRunner(Protocol):
    """Runs the model over the rows of a slot cache; all calls on the torch thread."""

    max_length: int

    def fits(self, rows: int, length: int) -> bool:
        """Tell whether the cache's budget holds `rows` sequences of up to `length` positions."""

    def reserve(self, rows: int, length: int, used_rows: int, used_length: int) -> None:
        """Make room for them, keeping the used corner."""

    def begin(self, row: int, source: Any) -> int:
        """Take in the source of a row's sequence before its first prefill; return its length in positions."""

    def prefill(self, row: int, start: int, tokens: Seq[int]) -> Any:
        """Compute prompt tokens at `start` of a row; return the logits of the last one, [1, vocabulary]."""

    def decode(self, tokens: Seq[int], positions: Seq[int]) -> Any:
        """Compute one token at `positions[i]` of each row i; return logits [rows, vocabulary]."""

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row over another."""

    def release(self) -> None:
        """Free what an idle engine need not hold."""

    def usage(self, used_tokens: int) -> float:
        """Return the used share of the cache's budget, 0 to 1."""

    def is_fatal(self, error: Exception) -> bool:
        """Tell whether the device is beyond use after this error."""


@dataclass(slots=True, eq=False)
class Sequence:
    """One running sequence; its row is its place in the scheduler's list."""

    ticket: Ticket
    tokens: list[int]
    prompt_length: int
    generator: Any
    computed: int = 0
    last_token_at: float = 0.0
    pieces: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    told: int = 0
    request: Generation = field(init=False)

    def __post_init__(self) -> None:
        self.request = self.ticket.item


class SlotScheduler:
    """Implements `Scheduler` for `Generation` items."""

    def __init__(
        self, runner: DecoderRunner, intake: Intake, outbox: Outbox, meter: Meter, prefill_tokens: int
    ) -> None:
        self._runner = runner
        self._intake = intake
        self._outbox = outbox
        self._meter = meter
        self._prefill_tokens = prefill_tokens
        self._decoding: list[Sequence] = []
        self._filling: Sequence | None = None
        self._preempted: dict[int, Sequence] = {}

    def submit(self, item: Generation, cost: int) -> Ticket:
        """Queue a generation. Raises QueueFull or Draining."""
        return self._intake.submit(item, cost)

    def cancel(self, ticket: Ticket, reason: str) -> None:
        """Drop a generation within one step."""
        self._intake.cancel(ticket, reason)

    def stats(self) -> Stats:
        """Return the counts of this moment."""
        running = self._running()
        used = sum(len(sequence.tokens) for sequence in running)
        return Stats(len(running), self._intake.size, self._intake.tokens, self._runner.usage(used))

    async def drain(self, seconds: float) -> bool:
        """Finish the accepted generations within `seconds`, or cancel them."""
        return await drain_intake(
            self._intake,
            lambda: len(self._running()) + self._intake.size,
            lambda: [sequence.ticket for sequence in self._running()],
            seconds,
        )

    def step(self) -> bool:
        """Admit, prefill, decode one token a sequence, route. False when idle."""
        try:
            self._drop_cancelled()
            self._prefill()
            self._decode()
        except Exception as error:
            self._fail_running(error)
            if self._runner.is_fatal(error):
                raise
        finally:
            self._outbox.flush()
        if self._running() or self._intake.size:
            return True
        self._runner.release()
        return False

    def _running(self) -> list[Sequence]:
        return [*self._decoding, self._filling] if self._filling else list(self._decoding)

    # --- leaving ---

    def _drop_cancelled(self) -> None:
        for ticket in self._intake.sweep() if self._intake.size else ():
            self._preempted.pop(ticket.id, None)
            self._report_cancelled(ticket)
        for sequence in self._running():
            if sequence.ticket.cancel_reason is not None:
                self._remove(sequence)
                self._report_cancelled(sequence.ticket)

    def _report_cancelled(self, ticket: Ticket) -> None:
        reason = ticket.cancel_reason or ""
        self._meter.cancelled(reason, time.monotonic() - ticket.cancelled_at)
        self._outbox.post(ticket, Failed(Cancelled(reason)))

    def _remove(self, sequence: Sequence) -> None:
        """Free a row and close the gap with the last one."""
        if sequence is self._filling:
            self._filling = None
            return
        row, last = self._decoding.index(sequence), len(self._decoding) - 1
        tail = self._decoding.pop()
        if row != last:
            self._decoding[row] = tail
            self._runner.move(last, row, tail.computed)
        if self._filling is not None:
            self._runner.move(last + 1, last, self._filling.computed)

    def _fail_running(self, error: Exception) -> None:
        failure = ForwardFailed(f"the model failed on this batch: {type(error).__name__}")
        failure.__cause__ = error
        for sequence in self._running():
            self._outbox.post(sequence.ticket, Failed(failure))
        self._decoding.clear()
        self._filling = None

    # --- prefill ---

    def _prefill(self) -> None:
        budget = self._prefill_tokens
        while budget > 0:
            self._filling = self._filling or self._admit()
            if self._filling is None:
                return
            budget -= self._prefill_chunk(self._filling, budget)

    def _admit(self) -> Sequence | None:
        """Give the oldest waiting request a row, if the cache has room for its tokens and one more."""
        for ticket in self._intake.peek(1):
            known = self._preempted.get(ticket.id)
            length = len(known.tokens if known else ticket.item.prompt) + 1
            rows = len(self._decoding) + 1
            longest = max([length, *(len(sequence.tokens) + 1 for sequence in self._decoding)])
            if not self._runner.fits(rows, longest):
                return None
            self._intake.take([ticket])
            self._preempted.pop(ticket.id, None)
            self._filling = known or self._begin(ticket)
            self._reserve(rows, longest)
            return self._filling
        return None

    def _begin(self, ticket: Ticket) -> Sequence:
        ticket.started_at = time.monotonic()
        self._meter.waited(ticket.started_at - ticket.submitted_at)
        request: Generation = ticket.item
        self._meter.tokens("prompt", len(request.prompt))
        return Sequence(ticket, list(request.prompt), len(request.prompt), make_generator(request.sampling))

    def _prefill_chunk(self, sequence: Sequence, budget: int) -> int:
        """Compute the next tokens of a prompt; after the last one, sample and let the sequence join the decoders.

        Returns how many positions that took, those of the sequence's source among them.
        """
        start, row = sequence.computed, len(self._decoding)
        chunk = sequence.tokens[start : start + budget]
        began = time.monotonic()
        source = sequence.request.source
        taken = self._runner.begin(row, source) if source is not None and start == 0 else 0
        logits = self._runner.prefill(row, start, chunk)
        self._meter.batch("prefill", 1, len(chunk), len(chunk))
        self._meter.forward(time.monotonic() - began)
        sequence.computed += len(chunk)
        if sequence.computed == len(sequence.tokens):
            self._filling = None
            self._decoding.append(sequence)
            self._accept(sequence, *self._choose([sequence], logits)[0])
        return taken + len(chunk)

    # --- decode ---

    def _decode(self) -> None:
        self._make_room()
        batch = list(self._decoding)
        if not batch:
            return
        began = time.monotonic()
        positions = [sequence.computed for sequence in batch]
        logits = self._runner.decode([sequence.tokens[-1] for sequence in batch], positions)
        self._meter.batch("decode", len(batch), len(batch), len(batch))
        self._meter.forward(time.monotonic() - began)
        chosen = self._choose(batch, logits)
        for sequence in batch:
            sequence.computed += 1
        for sequence, (token, logprob) in zip(batch, chosen, strict=True):
            self._accept(sequence, token, logprob)

    def _choose(self, batch: Seq[Sequence], logits: Any) -> list[tuple[int, TokenLogprob | None]]:
        began = time.monotonic()
        chosen = _choose(batch, logits)
        self._meter.sampled(time.monotonic() - began)
        return chosen

    def _make_room(self) -> None:
        """Let every decoding sequence grow by one position, preempting the youngest when the budget is spent."""
        while self._decoding:
            rows = len(self._running())
            longest = max(len(sequence.tokens) for sequence in self._running())
            if self._runner.fits(rows, longest):
                self._reserve(rows, longest)
                return
            self._preempt(self._filling or max(self._decoding, key=lambda sequence: sequence.ticket.id))

    def _preempt(self, sequence: Sequence) -> None:
        self._remove(sequence)
        sequence.computed = 0
        self._preempted[sequence.ticket.id] = sequence
        self._intake.put_back(sequence.ticket)

    def _reserve(self, rows: int, longest: int) -> None:
        running = self._running()
        used = max((sequence.computed for sequence in running), default=0)
        self._runner.reserve(rows, longest, len(running), used)

    def _accept(self, sequence: Sequence, token: int, logprob: TokenLogprob | None) -> None:
        """Append a token, tell the client, and end the sequence when it is complete."""
        self._measure(sequence)
        request = sequence.request
        sequence.tokens.append(token)
        made = len(sequence.tokens) - sequence.prompt_length
        reason = ""
        if token in request.end_ids:
            reason = "stop"
        else:
            if logprob is not None:
                sequence.logprobs.append(logprob)
            text, stopped = request.observer.push(token)
            self._tell(sequence, text)
            full = made >= request.max_new_tokens or len(sequence.tokens) >= self._runner.max_length
            reason = "stop" if stopped else "length" if full else ""
        if reason:
            self._complete(sequence, reason)

    def _measure(self, sequence: Sequence) -> None:
        now = time.monotonic()
        if sequence.last_token_at == 0.0:
            self._meter.first_token(now - sequence.ticket.submitted_at)
        else:
            self._meter.next_token(now - sequence.last_token_at)
        sequence.last_token_at = now
        self._meter.tokens("completion", 1)

    def _complete(self, sequence: Sequence, reason: str) -> None:
        """Free the row, and hand over the rest; whatever that raises is this client's failure alone."""
        self._remove(sequence)
        try:
            self._hand_over(sequence, reason)
        except Exception as error:
            failure = ForwardFailed(f"the answer could not be completed: {type(error).__name__}")
            failure.__cause__ = error
            self._outbox.post(sequence.ticket, Failed(failure))

    def _hand_over(self, sequence: Sequence, reason: str) -> None:
        request = sequence.request
        self._tell(sequence, request.observer.finish(), is_last=True)
        following = request.follow() if request.follow else None
        if following is not None:
            self._continue(sequence, following)
            return
        tokens = tuple(sequence.tokens[sequence.prompt_length :])
        completion = Completion(reason, tokens, "".join(sequence.pieces), tuple(sequence.logprobs))
        self._outbox.post(sequence.ticket, Done(completion))

    def _continue(self, sequence: Sequence, following: Generation) -> None:
        """Put the next generation of a chain at the head of the queue, as if it had been preempted."""
        ticket = sequence.ticket
        ticket.item = following
        heir = Sequence(ticket, list(following.prompt), len(following.prompt), sequence.generator)
        heir.pieces, heir.last_token_at = sequence.pieces, sequence.last_token_at
        self._preempted[ticket.id] = heir
        self._intake.put_back(ticket)

    def _tell(self, sequence: Sequence, text: str, *, is_last: bool = False) -> None:
        """Send text that is certain; log-probabilities wait for the text of their tokens."""
        waiting = tuple(sequence.logprobs[sequence.told :])
        if text or (is_last and waiting):
            sequence.pieces.append(text)
            sequence.told = len(sequence.logprobs)
            self._outbox.post(sequence.ticket, Progress(Piece(text, waiting)))


def _choose(batch: Seq[Sequence], logits: Any) -> list[tuple[int, TokenLogprob | None]]:
    """Return the next token of each sequence, with its log-probability where that is wanted."""
    own = logits
    ruled = [(row, sequence) for row, sequence in enumerate(batch) if sequence.request.rules is not None]
    if ruled:
        logits = apply_rules(logits, [(row, each.request.rules, each.tokens) for row, each in ruled])
    chosen = choose_tokens(logits, [(sequence.request.sampling, sequence.generator) for sequence in batch])
    wanted = [sequence.request.sampling.logprobs for sequence in batch]
    return [
        (token, None if count is None else measure_token(own[row], token, count))
        for row, (token, count) in enumerate(zip(chosen, wanted, strict=True))
    ]
