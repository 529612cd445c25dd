"""What the encoder tasks share: texts to token lists, and a token-budget scheduler around one forward pass."""

from collections.abc import Sequence
from typing import Any

from modelservice_runtime.engine.token_scheduler import BatchLimits, RunBatch, TokenBudgetScheduler
from modelservice_runtime.models.device import is_fatal
from modelservice_runtime.models.encoder import TextEncoder
from modelservice_runtime.tasks.base import TaskContext
from modelservice_runtime.tasks.inputs import InvalidInput, Item, Texts


def prepare_texts(encoder: TextEncoder, request: Texts, most: int) -> list[Item]:
    """Tokenise each text. Raises InvalidInput when there are too many, or one is longer than the model reads."""
    if len(request.texts) > most:
        raise InvalidInput("input", f"at most {most} inputs are taken in one request, not {len(request.texts)}")
    items = []
    for index, text in enumerate(request.texts):
        tokens = encoder.tokenise(text) if isinstance(text, str) else list(text)
        field = f"input.{index}" if len(request.texts) > 1 else "input"
        if not tokens:
            raise InvalidInput(field, "the input is empty after tokenisation")
        if len(tokens) > encoder.longest:
            raise InvalidInput(
                field,
                f"the input has {len(tokens)} tokens, and this model reads {encoder.longest}; split it",
                reason="too_long",
            )
        if max(tokens) >= encoder.vocabulary:
            raise InvalidInput(field, f"token ids must be below {encoder.vocabulary}, the size of the vocabulary")
        items.append(Item(tokens, len(tokens)))
    return items


def make_scheduler(context: TaskContext, run: RunBatch) -> TokenBudgetScheduler:
    """Return the scheduler that calls `run` with batches inside the settings' limits."""
    limits = context.settings.limits
    return TokenBudgetScheduler(
        run,
        is_fatal,
        context.intake,
        context.outbox,
        context.meter,
        BatchLimits(limits.max_batch_tokens, limits.max_batch_size),
    )


def warm_up(run: RunBatch, encoder: TextEncoder) -> Sequence[Any]:
    """Run two inputs of unequal length."""
    sample = encoder.tokenise("a few words to warm up with")[: encoder.longest]
    return run([sample, sample[: max(1, len(sample) // 2)]])
