"""transformers' own continuous batching, driven step by step on the torch thread.

Its manager would start a thread of its own, queue requests behind a call that blocks, and copy all tokens of a stream
at each step. So only what the manager is made of is used: its processor prepares a batch, computes it and updates its
requests, and tokens are read from the requests themselves. Every limit that it would guess is stated: blocks, tokens
and requests of a batch, the queue, the seed.

It cannot seed a request, steer it or tell log-probabilities. Greedy requests are sampled among one token, because
sampling is a property of the whole batch there.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.generation.continuous_batching.requests import RequestState

from modelservice_runtime.engine.generation import Generation
from modelservice_runtime.engine.sampling import LEAST_TEMPERATURE, Sampling
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.device import is_fatal, without_gradients

PAGE = 64
LEAST_BATCH_TOKENS = 512
PLACEHOLDERS = {"temperature": 0.5, "top_k": 50, "top_p": 0.5}
"""Values other than those that mean nothing: without them there would be no processor to set for each request."""


class PagedDecoder:
    """Holds requests by a key and computes a step of all of them; all calls on the torch thread."""

    def __init__(self, model: Any, max_length: int, max_rows: int, budget_bytes: int) -> None:
        self._model = model
        self._vocabulary = int(model.config.get_text_config().vocab_size)
        per_token = _bytes_per_token(model)
        blocks = min(budget_bytes // (per_token * PAGE), -(-max_rows * max_length // PAGE))
        self.max_length = min(max_length, blocks * PAGE)
        self.budget_tokens = blocks * PAGE
        if self.max_length < PAGE:
            raise UnusableModel(
                f"the memory for the KV cache holds {budget_bytes // per_token} tokens, and a page has {PAGE}",
                hint="give the container more memory",
            )
        self._processor = self._make_processor(blocks, max_rows)

    @without_gradients
    def add(self, key: str, request: Generation) -> None:
        """Take in a request."""
        options = self._describe(request.sampling)
        self._processor.logit_processor.check_kwargs(options)
        state = RequestState(
            request_id=key,
            initial_tokens=list(request.prompt),
            max_new_tokens=request.max_new_tokens,
            eos_token_id=sorted(request.end_ids),
            logit_processor_kwargs=options,
        )
        self._processor.scheduler.add_waiting_request(state)

    @without_gradients
    def drop(self, key: str) -> None:
        """Free what a request holds; one that is over already does not mind."""
        self._processor.scheduler.set_request_cancellation(key)
        self._processor.scheduler.clear_cancelled_requests()

    @without_gradients
    def step(self) -> None:
        """Compute one batch of prompts and single tokens."""
        if self._processor.prepare_next_batch():
            self._processor._generation_step(self._model)
            self._processor.update_batch()

    def warm_up(self) -> None:
        """Compute a few tokens, which also touches every weight."""
        request = Generation([0, 0], 2, Sampling(), frozenset(), _Deaf())
        self.add("warm-up", request)
        for _ in range(request.max_new_tokens):
            self.step()
        self.drop("warm-up")
        self.forget_finished()

    def fresh_tokens(self, key: str, known: int) -> Sequence[int]:
        """Return the tokens of a running request beyond the first `known` of prompt and answer.

        A request that was evicted begins again with its tokens as a longer prompt.
        """
        scheduler = self._processor.scheduler
        state = scheduler.active_requests.get(key) or scheduler.waiting_requests.get(key)
        state = state or self._take_finished().get(key)
        if state is None:
            return ()
        prompt = getattr(state, "initial_tokens", None) or state.prompt_ids
        fresh: Sequence[int] = state.generated_tokens[max(0, known - len(prompt)) :]
        return fresh

    @without_gradients
    def clear(self) -> None:
        """Drop everything, after a step that failed."""
        self._processor.fail_all_requests(RuntimeError("a step failed"))
        self._processor.reset()
        self.forget_finished()

    def forget_finished(self) -> None:
        """Let go of what is over; called when its last tokens were taken."""
        self._take_finished().clear()

    def usage(self, used_tokens: int) -> float:
        """Return the used share of the cache's budget, 0 to 1."""
        return min(1.0, used_tokens / self.budget_tokens)

    def is_fatal(self, error: Exception) -> bool:
        """Tell whether the device is beyond use after this error."""
        return is_fatal(error)

    def _take_finished(self) -> dict[str, Any]:
        queue = self._processor.output_router.output_queue
        while not queue.empty():
            output = queue.get()
            self._finished[output.request_id] = output
        return self._finished

    def _describe(self, sampling: Sampling) -> dict[str, Any]:
        if sampling.temperature == 0.0:
            return {"temperature": 1.0, "top_k": 1, "top_p": 1.0}
        temperature = max(sampling.temperature, LEAST_TEMPERATURE)
        return {
            "temperature": float(temperature),
            "top_k": min(sampling.top_k or self._vocabulary, self._vocabulary),
            "top_p": float(sampling.top_p),
        }

    @without_gradients
    def _make_processor(self, blocks: int, max_rows: int) -> Any:
        self._finished: dict[str, Any] = {}
        manager = self._model.init_continuous_batching(
            GenerationConfig(do_sample=True, eos_token_id=-1, **PLACEHOLDERS),
            ContinuousBatchingConfig(
                page_size=PAGE,
                num_blocks=blocks,
                max_batch_tokens=max(LEAST_BATCH_TOKENS, max_rows),
                max_requests_per_batch=max_rows,
                max_queue_size=max_rows,
                per_request_processors=True,
                drop_unsupported_processors=False,
                use_async_batching=False,
                auto_switch_to_flash=False,
                seed=secrets.randbelow(1 << 31),
            ),
        )
        return manager._create_batch_processor()


class _Deaf:
    """Follows tokens that nobody reads."""

    def push(self, token: int) -> tuple[str, bool]:
        """Take a token."""
        return "", False

    def finish(self) -> str:
        """Return nothing."""
        return ""


def _bytes_per_token(model: Any) -> int:
    """Return what the keys and values of one token take over all layers."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * int(config.num_hidden_layers) * int(heads) * int(size) * int(model.dtype.itemsize)
