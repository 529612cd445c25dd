"""Text generation and chat with a causal language model."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import AutoModelForCausalLM

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.generation import Completion, Generation
from modelservice_runtime.engine.paged_scheduler import PagedScheduler
from modelservice_runtime.engine.sampling import LogitRules, Sampling
from modelservice_runtime.engine.scheduling import Scheduler, TokenLogprob
from modelservice_runtime.engine.slot_scheduler import SlotScheduler
from modelservice_runtime.models.adapted_decoder import AdaptedDecoder
from modelservice_runtime.models.compiling import compile_blocks
from modelservice_runtime.models.decode_graphs import GraphedDecoder
from modelservice_runtime.models.decoder import CausalDecoder
from modelservice_runtime.models.device import Placement, cache_bytes, choose_placement
from modelservice_runtime.models.loader import context_length, count_parameters, load_model, load_tokenizer
from modelservice_runtime.models.lora import load_adapters
from modelservice_runtime.models.paged_decoder import PagedDecoder
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.inputs import Conversation, GenerationOptions, InvalidInput, Item, TextPrompts
from modelservice_runtime.tasks.plain_options import refuse_special
from modelservice_runtime.tasks.steering import Steering
from modelservice_runtime.tasks.text_stream import TextStream
from modelservice_runtime.tasks.token_text import spell_token
from modelservice_runtime.tasks.tool_prompt import describe_tools, knows_tools

PREFILL_TOKENS = 512
SEED_SPAN = 1 << 63
NO_ADAPTER = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One finished text; `reason` is `stop` or `length`."""

    text: str
    reason: str
    prompt_tokens: int
    completion_tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()
    cached_tokens: int = 0


class GenerationTask:
    """Implements `LoadedTask`."""

    def __init__(
        self, context: TaskContext, tokenizer: Any, model: Any, facts: ModelFacts, runner: CausalDecoder | PagedDecoder
    ) -> None:
        self.facts = facts
        self.scheduler = _make_scheduler(context, runner)
        self._tokenizer = tokenizer
        self._runner = runner
        self._end_ids = end_ids(model, tokenizer)
        self._limit = context.settings.limits.max_new_tokens
        self._vocabulary = int(model.config.get_text_config().vocab_size)
        self._steering = Steering(tokenizer, self._vocabulary, self._end_ids)
        self._rules: LogitRules | None = None
        self._source = NO_ADAPTER if context.settings.adapters else None

    def warm_up(self) -> None:
        """Check that batching agrees with the plain model; that also touches every weight."""
        if isinstance(self._runner, PagedDecoder):
            self._runner.warm_up()
            return
        size = min(24, self._runner.max_length - 1)
        self._runner.verify([(7 * place + 3) % self._vocabulary for place in range(size)])

    def prepare(self, request: TextPrompts | Conversation) -> Sequence[Item]:
        """Tokenise, check the lengths, and make `n` generations of each prompt."""
        if isinstance(self._runner, PagedDecoder):
            refuse_special(request.options)
        if isinstance(request, Conversation):
            prompts, field = [self._render(request)], "messages"
        else:
            prompts, field = [self._encode(prompt) for prompt in request.prompts], "prompt"
        items = []
        for prompt in prompts:
            room = self._room(prompt, request, field)
            for generation in self._generations(prompt, room, request.options):
                items.append(Item(generation, len(prompt) + min(room, PREFILL_TOKENS)))
        return items

    def finish(
        self, request: TextPrompts | Conversation, items: Sequence[Item], results: Sequence[Completion]
    ) -> list[Choice]:
        """Pair each item with what was generated."""
        return [
            Choice(
                completion.text,
                completion.reason,
                item.value.prompt_tokens,
                len(completion.tokens),
                completion.logprobs,
                completion.cached_tokens,
            )
            for item, completion in zip(items, results, strict=True)
        ]

    def spell(self, token: int) -> tuple[str, bytes]:
        """Return the text of one token and its bytes, which may be a part of a character."""
        return spell_token(self._tokenizer, token)

    def _render(self, request: Conversation) -> list[int]:
        if not getattr(self._tokenizer, "chat_template", None):
            raise InvalidInput("messages", "this model has no chat template; use /v1/completions")
        _refuse_images(request)
        messages, tools = list(request.messages), list(request.tools)
        if tools and not knows_tools(self._tokenizer.chat_template):
            messages, tools = list(describe_tools(messages, tools)), []
        try:
            text = self._tokenizer.apply_chat_template(
                messages, tools=tools or None, tokenize=False, add_generation_prompt=True
            )
        except Exception as error:  # a template is a program of the model's author: it may raise anything
            raise InvalidInput(
                "messages", f"the model's chat template refuses these messages: {type(error).__name__}"
            ) from error
        return list(self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)

    def _encode(self, prompt: str | Sequence[int]) -> list[int]:
        if isinstance(prompt, str):
            return list(self._tokenizer.backend_tokenizer.encode(prompt).ids)
        if any(token >= self._vocabulary for token in prompt):
            raise InvalidInput("prompt", f"token ids must be below {self._vocabulary}, the size of the vocabulary")
        return list(prompt)

    def _room(self, prompt: Sequence[int], request: TextPrompts | Conversation, field: str) -> int:
        """Return how many tokens may be generated. Raises InvalidInput when they do not fit."""
        context, wanted = self._runner.max_length, request.options.max_new_tokens
        if not prompt:
            raise InvalidInput(field, "the prompt is empty after tokenisation; give at least one token")
        if len(prompt) >= context:
            raise InvalidInput(
                field,
                f"the prompt has {len(prompt)} tokens, and this model's context is {context} tokens with the answer; "
                f"shorten it by at least {len(prompt) - context + 1} tokens",
                reason="too_long",
            )
        if wanted is not None and len(prompt) + wanted > context:
            raise InvalidInput(
                request.max_tokens_field,
                f"the prompt has {len(prompt)} tokens and {wanted} more were asked for, together above this model's "
                f"context of {context} tokens; ask for at most {context - len(prompt)}",
                reason="too_long",
            )
        if wanted is not None and wanted > self._limit:
            raise InvalidInput(request.max_tokens_field, f"at most {self._limit} tokens may be asked for, not {wanted}")
        return wanted or min(self._limit, context - len(prompt))

    def _generations(self, prompt: list[int], room: int, options: GenerationOptions) -> list[Generation]:
        seed = secrets.randbelow(SEED_SPAN) if options.seed is None else options.seed
        sampling = Sampling(options.temperature, options.top_p, options.top_k, logprobs=options.logprobs)
        return [
            Generation(
                prompt,
                room,
                replace(sampling, seed=(seed + index) % SEED_SPAN),
                self._end_ids,
                TextStream(self._tokenizer.backend_tokenizer, options.stop),
                source=self._source,
                rules=rules,
            )
            for index, rules in enumerate(self._steering.rules(options, len(prompt), self._rules))
        ]


def load(context: TaskContext) -> GenerationTask:
    """Load tokenizer and model, and size the KV cache by the memory limit. Raises RuntimeFault."""
    settings = context.settings
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    tokenizer = load_tokenizer(context.folder, settings)
    is_paged = settings.engine.backend == "transformers"
    model = load_model(AutoModelForCausalLM, context.folder, settings, placement, padding_only=is_paged)
    if settings.engine.compile:
        compile_blocks(model, placement.device)
    runner = _make_runner(model, context, placement)
    facts = ModelFacts(
        count_parameters(model),
        placement.device,
        placement.dtype,
        runner.max_length,
        runner.budget_tokens,
        str(model.config.get_text_config()._attn_implementation),
    )
    return GenerationTask(context, tokenizer, model, facts, runner)


def _make_scheduler(context: TaskContext, runner: CausalDecoder | PagedDecoder) -> Scheduler:
    ends = context.intake, context.outbox, context.meter
    if isinstance(runner, PagedDecoder):
        return PagedScheduler(runner, *ends, context.settings.engine.max_concurrency)
    return SlotScheduler(runner, *ends, PREFILL_TOKENS)


def _make_runner(model: Any, context: TaskContext, placement: Placement) -> CausalDecoder | PagedDecoder:
    """Return the runner for a model with or without adapters; the cache takes a share of what they leave."""
    settings = context.settings
    bank = load_adapters(model, settings.adapters) if settings.adapters else None
    room = (
        context_length(model, settings),
        settings.engine.max_concurrency,
        cache_bytes(placement, context.resources),
    )
    if settings.engine.backend == "transformers":
        return PagedDecoder(model, *room)
    keep = settings.engine.prefix_cache
    if bank is not None:
        return AdaptedDecoder(model, bank, *room, keep_prefixes=keep)
    decoder = GraphedDecoder if records_graphs(settings, placement) else CausalDecoder
    return decoder(model, *room, keep_prefixes=keep)


def records_graphs(settings: Settings, placement: Placement) -> bool:
    """Tell whether decode steps are recorded as CUDA graphs."""
    return settings.engine.cuda_graphs and placement.device.startswith("cuda")


def _refuse_images(request: Conversation) -> None:
    """Refuse images where a text is read: a template would pass over them in silence."""
    for index, message in enumerate(request.messages):
        if not isinstance(message["content"], str):
            raise InvalidInput(
                f"messages.{index}.content",
                "this model reads text only; leave the images out, or serve a vision language model",
            )


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the ids that end a text, as `generate` would take them."""
    stated = model.generation_config.eos_token_id
    if stated is None:
        stated = tokenizer.eos_token_id
    return frozenset([stated] if isinstance(stated, int) else stated or ())
