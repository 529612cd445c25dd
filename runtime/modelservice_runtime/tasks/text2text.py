"""A text rewritten by an encoder-decoder: summaries, translations, instructions (T5, BART, Marian).

The client's prompt is what the encoder reads; the decoder starts from the tokens that the model's configuration names.
Decoding is greedy or sampled; beam search, which some configurations ask for, is not offered.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM

from modelservice_runtime.engine.generation import Completion, Generation
from modelservice_runtime.engine.sampling import Sampling
from modelservice_runtime.engine.slot_scheduler import SlotScheduler
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.device import cache_bytes, choose_placement
from modelservice_runtime.models.loader import context_length, count_parameters, load_model, load_tokenizer
from modelservice_runtime.models.logit_rules import read_rules
from modelservice_runtime.models.seq2seq import Seq2SeqDecoder, Seq2SeqParts
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.generation import PREFILL_TOKENS, SEED_SPAN, Choice, end_ids
from modelservice_runtime.tasks.inputs import InvalidInput, Item, TextPrompts
from modelservice_runtime.tasks.steering import Steering
from modelservice_runtime.tasks.text_stream import SlowStream, TextStream
from modelservice_runtime.tasks.token_text import spell_token

SAMPLE = (3, 5, 4, 6, 3, 7, 5, 4)


class Text2TextTask:
    """Implements `LoadedTask`."""

    def __init__(
        self, context: TaskContext, tokenizer: Any, model: Any, facts: ModelFacts, runner: Seq2SeqDecoder
    ) -> None:
        self.facts = facts
        self.scheduler = SlotScheduler(runner, context.intake, context.outbox, context.meter, PREFILL_TOKENS)
        self._tokenizer = tokenizer
        self._runner = runner
        self._limit = context.settings.limits.max_new_tokens
        self._vocabulary = int(model.config.vocab_size)
        self._start = _decoder_start(model)
        self._end_ids = end_ids(model, tokenizer)
        self._rules = read_rules(model, 1)
        self._steering = Steering(tokenizer, self._vocabulary, self._end_ids)
        self._prefix = _prefix(model.config, context.task)

    def warm_up(self) -> None:
        """Check that batching agrees with the plain model; that also touches every weight."""
        size = min(12, self._runner.max_length - 1)
        tokens = [self._start, *((7 * place + 3) % self._vocabulary for place in range(1, size))]
        self._runner.verify(tokens, SAMPLE[:3])

    def prepare(self, request: TextPrompts) -> Sequence[Item]:
        """Tokenise, check the lengths, and make `n` generations of each prompt."""
        items = []
        for prompt in request.prompts:
            source = self._encode(prompt)
            room = self._room(source, request)
            items += [Item(each, len(source) + room) for each in self._generations(source, room, request)]
        return items

    def finish(self, request: TextPrompts, items: Sequence[Item], results: Sequence[Completion]) -> list[Choice]:
        """Pair each item with what was generated."""
        return [
            Choice(
                completion.text,
                completion.reason,
                item.value.prompt_tokens,
                len(completion.tokens),
                completion.logprobs,
            )
            for item, completion in zip(items, results, strict=True)
        ]

    def spell(self, token: int) -> tuple[str, bytes]:
        """Return the text of one token and its bytes."""
        return spell_token(self._tokenizer, token)

    def _encode(self, prompt: str | Sequence[int]) -> list[int]:
        if isinstance(prompt, str):
            return list(self._tokenizer(self._prefix + prompt)["input_ids"])
        if any(token >= self._vocabulary for token in prompt):
            raise InvalidInput("prompt", f"token ids must be below {self._vocabulary}, the size of the vocabulary")
        return list(prompt)

    def _room(self, source: Sequence[int], request: TextPrompts) -> int:
        """Return how many tokens may be generated. Raises InvalidInput when source or answer do not fit."""
        wanted, longest = request.options.max_new_tokens, self._runner.max_length - 1
        if not source:
            raise InvalidInput("prompt", "the prompt is empty after tokenisation; give at least one token")
        if len(source) > self._runner.longest_source:
            raise InvalidInput(
                "prompt",
                f"the prompt has {len(source)} tokens, and this model reads {self._runner.longest_source}; split it",
                reason="too_long",
            )
        most = min(self._limit, longest)
        if wanted is not None and wanted > most:
            raise InvalidInput(
                request.max_tokens_field, f"at most {most} tokens may be asked for, not {wanted}", reason="too_long"
            )
        return wanted or most

    def _generations(self, source: list[int], room: int, request: TextPrompts) -> list[Generation]:
        options = request.options
        seed = secrets.randbelow(SEED_SPAN) if options.seed is None else options.seed
        sampling = Sampling(options.temperature, options.top_p, options.top_k, logprobs=options.logprobs)
        return [
            Generation(
                (self._start,),
                room,
                replace(sampling, seed=(seed + index) % SEED_SPAN),
                self._end_ids,
                self._stream(options.stop),
                source=source,
                source_tokens=len(source),
                rules=rules,
            )
            for index, rules in enumerate(self._steering.rules(options, 1, self._rules))
        ]

    def _stream(self, stop: tuple[str, ...]) -> TextStream:
        if self._tokenizer.is_fast:
            return TextStream(self._tokenizer.backend_tokenizer, stop)
        return TextStream(self._tokenizer, stop, SlowStream())


def load(context: TaskContext) -> Text2TextTask:
    """Load tokenizer and model, and size the caches by the memory limit. Raises RuntimeFault."""
    settings = context.settings
    placement = choose_placement(settings, context.folder.checkpoint_dtype, context.resources)
    tokenizer = load_tokenizer(context.folder, settings, fast=False)
    model = load_model(AutoModelForSeq2SeqLM, context.folder, settings, placement)

    def inputs_of(source: Sequence[int]) -> dict[str, Any]:
        ids = torch.tensor([source], device=model.device)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    length = context_length(model, settings)
    runner = Seq2SeqDecoder(
        Seq2SeqParts(model, inputs_of),
        SAMPLE,
        length,
        length,
        settings.engine.max_concurrency,
        cache_bytes(placement, context.resources),
    )
    facts = ModelFacts(count_parameters(model), placement.device, placement.dtype, length, runner.budget_tokens)
    return Text2TextTask(context, tokenizer, model, facts, runner)


def _decoder_start(model: Any) -> int:
    """Return the token that every answer starts from."""
    stated = (model.generation_config.decoder_start_token_id, getattr(model.config, "decoder_start_token_id", None))
    start = next((token for token in stated if token is not None), model.generation_config.bos_token_id)
    if start is None:
        raise UnusableModel(
            "neither config.json nor generation_config.json names a decoder_start_token_id",
            hint="add the token that the decoder starts from to generation_config.json",
        )
    return int(start)


def _prefix(config: Any, task: str) -> str:
    """Return what the model was trained to read before each text for this task; T5 names it in config.json."""
    known = getattr(config, "task_specific_params", None) or {}
    return str((known.get(task) or {}).get("prefix") or "")
