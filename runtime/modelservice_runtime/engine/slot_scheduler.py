"""Continuous batching for decoders over a slot KV cache.

Each step: drop what was cancelled, prefill as many prompt tokens as the pace allows (`prefill.py`), then decode one
token for every running sequence in one forward pass, sample each row with its own parameters, and route the text.
Sequences join and leave between steps, never waiting for one another.

A sequence begins with what is known of its prompt already (`prefix_cache.py`), and leaves its prompt behind for others.

Admission is optimistic: a sequence needs room for its prompt only. When the cache's budget is spent while decoding,
the youngest sequence is preempted: its row is dropped, and it goes back to the head of the queue with the tokens it
has, to be prefilled again (recomputation costs one prefill; swapping would cost memory that is not there).

The scheduler knows rows and tokens. What a model is and how logits come about is the runner's business; what text is
and when it ends is the observer's.
"""

import time
from collections.abc import Sequence as Seq
from dataclasses import replace
from typing import Any

from modelservice_runtime.engine.answers import Answers
from modelservice_runtime.engine.decoder_runner import DecoderRunner
from modelservice_runtime.engine.generation import Generation, Sequence
from modelservice_runtime.engine.intake import Intake
from modelservice_runtime.engine.prefill import Chunk, Group, PrefillPace
from modelservice_runtime.engine.prefix_cache import PrefixCache
from modelservice_runtime.engine.queued import QueuedScheduler
from modelservice_runtime.engine.sampling import apply_rules, choose_tokens, measure_token
from modelservice_runtime.engine.scheduling import Meter, Outbox, Stats, Ticket, TokenLogprob


class SlotScheduler(QueuedScheduler):
    """Implements `Scheduler` for `Generation` items; `prefill_tokens` bounds the prompt tokens of a step."""

    def __init__(
        self, runner: DecoderRunner, intake: Intake, outbox: Outbox, meter: Meter, prefill_tokens: int
    ) -> None:
        super().__init__(intake, outbox, meter)
        self._runner = runner
        self._answers = Answers(outbox, meter, runner.max_length)
        self._pace = PrefillPace(prefill_tokens)
        self._prefixes = PrefixCache(runner.prefixes)
        self._decoding: list[Sequence] = []  # rows from 0
        self._filling: list[Sequence] = []  # the rows after them
        self._preempted: dict[int, Sequence] = {}

    def stats(self) -> Stats:
        """Return the counts of this moment, and how much of the cache is used."""
        used = sum(len(sequence.tokens) for sequence in self._running())
        return replace(super().stats(), kv_usage=self._runner.usage(used), prefixes=self._prefixes.counts)

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

    def _computed(self) -> Seq[Ticket]:
        return [sequence.ticket for sequence in self._running()]

    def _running(self) -> list[Sequence]:
        return [*self._decoding, *self._filling]

    # --- leaving ---

    def _drop_cancelled(self) -> None:
        for ticket in self._sweep():
            self._preempted.pop(ticket.id, None)
        for sequence in self._running():
            if sequence.ticket.cancel_reason is not None:
                self._remove(sequence)
                self._tell_cancelled(sequence.ticket)

    def _remove(self, sequence: Sequence) -> None:
        """Free a row and close the gap: with the last one among those decoding, in order among those filling."""
        first = len(self._decoding)
        if sequence in self._filling:
            first += self._filling.index(sequence)
            self._filling.remove(sequence)
        else:
            row, last = self._decoding.index(sequence), len(self._decoding) - 1
            tail = self._decoding.pop()
            if row != last:
                self._decoding[row] = tail
                self._runner.move(last, row, tail.computed)
            first = last
        for row, shifted in enumerate(self._running()[first:], start=first):
            if shifted.begun or shifted.computed:
                self._runner.move(row + 1, row, shifted.computed)

    def _fail_running(self, error: Exception) -> None:
        for sequence in self._running():
            self._tell_failed(sequence.ticket, error, "batch")
        self._decoding.clear()
        self._filling.clear()

    # --- prefill ---

    def _prefill(self) -> None:
        budget = self._pace.budget(len(self._decoding), len(self._filling) + self._intake.size)
        while budget > 0:
            chunks = self._gather(budget)
            if not chunks:
                return
            budget -= self._compute(chunks)
            self._outbox.flush()  # first tokens do not wait for the other prompts and the decode step
            if self._decoding and self._pace.in_debt:
                return

    def _gather(self, budget: int) -> list[Chunk]:
        """Return the chunks of one pass: what is half filled, then the oldest waiting requests."""
        group = Group(self._runner.group_rows, budget)
        while group.real < budget and len(group.chunks) < group.rows:
            known = self._filling[len(group.chunks) :]
            sequence = known[0] if known else self._admit()
            if sequence is None or not group.take(sequence):
                break
        return group.chunks

    def _admit(self) -> Sequence | None:
        """Give the oldest waiting request a row, if the cache has room for its tokens and one more.

        It waits as well while a prompt ahead of it is computed that begins alike.
        """
        for ticket in self._intake.peek(1):
            known = self._preempted.get(ticket.id)
            tokens = known.tokens if known else ticket.item.prompt
            if self._prefixes.awaits(ticket, tokens, self._filling):
                return None
            length = len(tokens) + 1
            running = self._running()
            longest = max([length, *(len(sequence.tokens) + 1 for sequence in running)])
            if not self._runner.fits(len(running) + 1, longest):
                return None
            self._intake.take([ticket])
            self._preempted.pop(ticket.id, None)
            sequence = known or self._begin(ticket)
            self._filling.append(sequence)
            self._reserve(len(running) + 1, longest)
            self._prefixes.restore(len(running), sequence)
            if known is None:
                self._count(sequence)
            return sequence
        return None

    def _begin(self, ticket: Ticket) -> Sequence:
        self._start(ticket)
        return Sequence.of(ticket)

    def _count(self, sequence: Sequence) -> None:
        self._meter.tokens("prompt", len(sequence.tokens))
        self._prefixes.note(sequence)
        if sequence.cached:
            self._meter.tokens("prompt_cached", sequence.cached)

    def _compute(self, chunks: Seq[Chunk]) -> int:
        """Compute chunks of prompts; those that are complete get their first token and join the decoders.

        Returns how many positions that took, those of the sequences' sources among them.
        """
        began, first = time.monotonic(), len(self._decoding)
        encoded = sum(self._take_in(first + place, chunk.sequence) for place, chunk in enumerate(chunks))
        logits = self._run(first, chunks)
        sizes = [len(chunk.tokens) for chunk in chunks]
        done = [chunk.sequence for chunk in chunks if chunk.is_last]
        for chunk in chunks:
            chunk.sequence.computed += len(chunk.tokens)
        chosen = self._choose(done, logits) if done else []
        self._meter.batch("prefill", len(chunks), sum(sizes), len(chunks) * max(sizes))
        self._note_forward(began)
        self._note_pass(encoded, sum(sizes), time.monotonic() - began)
        for place, sequence in enumerate(done):
            self._prefixes.keep(first + place, sequence)
        del self._filling[: len(done)]
        self._decoding.extend(done)
        self._accept(done, chosen)
        return encoded + sum(sizes)

    def _note_pass(self, encoded: int, tokens: int, seconds: float) -> None:
        if encoded:
            self._pace.encoded(seconds)
        else:
            self._pace.filled(tokens, seconds)

    def _take_in(self, row: int, sequence: Sequence) -> int:
        if sequence.begun or sequence.request.source is None:
            return 0
        sequence.begun = True
        return self._runner.begin(row, sequence.request.source)

    def _run(self, row: int, chunks: Seq[Chunk]) -> Any:
        starts = [chunk.sequence.computed for chunk in chunks]
        if len(chunks) == 1:
            return self._runner.prefill(row, starts[0], chunks[0].tokens)
        return self._runner.prefill_group(row, starts, [chunk.tokens for chunk in chunks])

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
        self._note_forward(began)
        chosen = self._choose(batch, logits)
        self._pace.decoded(time.monotonic() - began)
        for sequence in batch:
            sequence.computed += 1
        self._accept(batch, chosen)

    def _note_forward(self, began: float) -> None:
        self._meter.forward(time.monotonic() - began)

    def _choose(self, batch: Seq[Sequence], logits: Any) -> list[tuple[int, TokenLogprob | None]]:
        began = time.monotonic()
        chosen = _choose(batch, logits)
        self._meter.sampled(time.monotonic() - began)
        return chosen

    def _make_room(self) -> None:
        """Let every decoding sequence grow by one position, preempting the youngest when the budget is spent."""
        while self._decoding:
            running = self._running()
            longest = max(len(sequence.tokens) for sequence in running)
            if self._runner.fits(len(running), longest):
                self._reserve(len(running), longest)
                return
            youngest = max(self._decoding, key=lambda sequence: sequence.ticket.id)
            self._preempt(self._filling[-1] if self._filling else youngest)

    def _preempt(self, sequence: Sequence) -> None:
        self._remove(sequence)
        sequence.forget()
        self._preempted[sequence.ticket.id] = sequence
        self._intake.put_back(sequence.ticket)

    def _reserve(self, rows: int, longest: int) -> None:
        running = self._running()
        used = max((sequence.computed for sequence in running), default=0)
        self._runner.reserve(rows, longest, len(running), used)

    def _accept(self, batch: Seq[Sequence], chosen: Seq[tuple[int, TokenLogprob | None]]) -> None:
        """Give each sequence its token, and end those that are complete."""
        for sequence, (token, logprob) in zip(batch, chosen, strict=True):
            reason = self._answers.add(sequence, token, logprob)
            if reason:
                self._remove(sequence)
                following = self._answers.complete(sequence, reason)
                if following is not None:
                    self._continue(sequence, following)

    def _continue(self, sequence: Sequence, following: Generation) -> None:
        """Put the next generation of a chain at the head of the queue, as if it had been preempted."""
        ticket = sequence.ticket
        ticket.item = following
        heir = Sequence(ticket, list(following.prompt), len(following.prompt), sequence.generator)
        heir.pieces, heir.last_token_at = sequence.pieces, sequence.last_token_at
        self._preempted[ticket.id] = heir
        self._intake.put_back(ticket)


def _choose(batch: Seq[Sequence], logits: Any) -> list[tuple[int, TokenLogprob | None]]:
    """Return the next token of each sequence, with its log-probability where that is wanted."""
    own = logits = logits[: len(batch)]
    ruled = [(row, sequence) for row, sequence in enumerate(batch) if sequence.request.rules is not None]
    if ruled:
        logits = apply_rules(logits, [(row, each.request.rules, each.tokens) for row, each in ruled])
    chosen = choose_tokens(logits, [(sequence.request.sampling, sequence.generator) for sequence in batch])
    wanted = [sequence.request.sampling.logprobs for sequence in batch]
    return [
        (token, None if count is None else measure_token(own[row], token, count))
        for row, (token, count) in enumerate(zip(chosen, wanted, strict=True))
    ]
