"""What the encoder tasks share: texts to token lists, and a token-budget scheduler around one forward pass."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.token_scheduler import BatchLimits, RunBatch, TokenBudgetScheduler
from modelservice_runtime.models.compiling import compile_encoder
from modelservice_runtime.models.device import choose_placement, is_fatal
from modelservice_runtime.models.encoder import TextEncoder, longest_input
from modelservice_runtime.models.loader import count_parameters, load_model, load_tokenizer
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.inputs import InvalidInput, Item, TextPair, Texts

CPU_TOKENS, CPU_OVERHEAD = 1024, 32
ACCELERATOR_TOKENS, ACCELERATOR_OVERHEAD = 8192, 2048


def load_encoder(context: TaskContext, auto_class: Any, *, longest: int = 0) -> tuple[TextEncoder, ModelFacts]:
    """Load tokenizer and model; `longest` is a limit in tokens that the repository states. Raises RuntimeFault."""
    settings = context.settings
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    tokenizer = load_tokenizer(context.folder, settings)
    model: Any = load_model(auto_class, context.folder, settings, placement, padding_only=True)
    limit = longest_input(model, tokenizer, settings.engine.max_context)
    if longest and not settings.engine.max_context:
        limit = min(limit, longest)
    attention = str(model.config._attn_implementation)
    facts = ModelFacts(count_parameters(model), placement.device, placement.dtype, limit, attention=attention)
    run = compile_encoder(model) if settings.engine.compile else None
    return TextEncoder(model, tokenizer, limit, run), facts


def prepare_texts(encoder: TextEncoder, request: Texts, most: int) -> list[Item]:
    """Tokenise each text. Raises InvalidInput when there are too many, or one is longer than the model reads."""
    check_count(len(request.texts), most)
    items = []
    for index, text in enumerate(request.texts):
        field = field_of("input", index, len(request.texts))
        items.append(pair_item(encoder, text, field) if isinstance(text, TextPair) else text_item(encoder, text, field))
    return items


def text_item(encoder: TextEncoder, text: str | Sequence[int], field: str) -> Item:
    """Tokenise a text, or take its tokens. Raises InvalidInput."""
    tokens = encoder.tokenise(text) if isinstance(text, str) else list(text)
    check_tokens(encoder, tokens, field)
    return Item(tokens, len(tokens))


def pair_item(encoder: TextEncoder, pair: TextPair, field: str) -> Item:
    """Tokenise two texts that are read together. Raises InvalidInput."""
    tokens = encoder.tokenise_pair(pair.text, pair.other)
    check_tokens(encoder, tokens.ids, field)
    return Item(tokens, len(tokens.ids))


def check_count(count: int, most: int) -> None:
    """Raise InvalidInput when a request holds too many inputs."""
    if count > most:
        raise InvalidInput("input", f"at most {most} inputs are taken in one request, not {count}")


def field_of(name: str, index: int, count: int) -> str:
    """Return how an input is called in messages: by its index when there are several."""
    return f"{name}.{index}" if count > 1 else name


def check_tokens(encoder: TextEncoder, tokens: Sequence[int], field: str) -> None:
    """Raise InvalidInput when the model cannot read these tokens."""
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


def make_scheduler(context: TaskContext, run: RunBatch, *, most_tokens: int = 1 << 30) -> TokenBudgetScheduler:
    """Return the scheduler that calls `run` with batches inside the settings' limits, and of `most_tokens` at most."""
    limits = choose_limits(context.settings)
    return TokenBudgetScheduler(
        run,
        is_fatal,
        context.intake,
        context.outbox,
        context.meter,
        replace(limits, tokens=min(limits.tokens, most_tokens)),
    )


def choose_limits(settings: Settings) -> BatchLimits:
    """Return the bounds of a forward pass: those of the settings, or what pays on the device.

    On a CPU a pass of a thousand tokens is as fast, token by token, as any larger one, and the answers come sooner. An
    accelerator is filled by many more.
    """
    on_cpu = settings.accelerator.count == 0 or settings.accelerator.simulated
    tokens, overhead = (CPU_TOKENS, CPU_OVERHEAD) if on_cpu else (ACCELERATOR_TOKENS, ACCELERATOR_OVERHEAD)
    return BatchLimits(settings.limits.max_batch_tokens or tokens, settings.limits.max_batch_size, overhead)


def warm_up(run: RunBatch, encoder: TextEncoder) -> Sequence[Any]:
    """Run two inputs of unequal length, and one alone, which a compiled model takes for another shape."""
    sample = encoder.tokenise("a few words to warm up with")[: encoder.longest]
    run([sample])
    return run([sample, sample[: max(1, len(sample) // 2)]])
