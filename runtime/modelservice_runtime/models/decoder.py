"""A causal language model over a slot KV cache: the runner of `SlotScheduler`.

Masks are made here, because the rows of a decode batch have different lengths: transformers passes a prepared 4-D mask
through untouched. A model with sliding-window layers gets one mask per kind of layer. Whether an architecture agrees
with this scheme is not guessed but tried: `verify` compares a few decode steps with the plain forward pass at load.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from modelservice_runtime.engine.prefix_cache import BLOCK
from modelservice_runtime.engine.slot_cache import SlotCache, Spread
from modelservice_runtime.errors import RuntimeFault, UnusableModel
from modelservice_runtime.models.device import is_fatal, without_gradients
from modelservice_runtime.models.prefix_pool import PrefixPool, share_out
from modelservice_runtime.models.row_attention import carry_runs, install_row_attention

logger = logging.getLogger(__name__)

GROUP_ROWS = 16
FULL, SLIDING = "full_attention", "sliding_attention"
SUPPORTED_LAYERS = {FULL, SLIDING}
VERIFY_TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.15, torch.float16: 0.05}


class CausalDecoder:
    """Implements `DecoderRunner` for transformers' causal language models.

    With `keep_prefixes`, `prefixes` takes a share of the budget for the beginnings of prompts, unless it is too small.
    """

    group_rows = GROUP_ROWS

    def __init__(
        self, model: Any, max_length: int, max_rows: int, budget_bytes: int, *, keep_prefixes: bool = False
    ) -> None:
        self._model = model
        self._device = model.device
        config = model.config.get_text_config()
        self._kinds = _layer_kinds(config)
        self._sliding_window = getattr(config, "sliding_window", None) or max_length
        self._divides_rows = config._attn_implementation == "sdpa" and self._device.type == "cpu"
        self._boolean_masks = config._attn_implementation == "sdpa" and not self._divides_rows
        if self._divides_rows:
            install_row_attention()
        self._refuse_unsuited(model)
        with _refusing_by_name(model):
            states = self._probe_states()
        per_token = sum(t.shape[1] * t.shape[3] * t.element_size() for pair in states for t in pair)
        budget = max(1, budget_bytes // per_token)
        self.max_length = min(max_length, budget)
        self.bytes_per_token = per_token
        blocks = share_out(budget, self.max_length) if keep_prefixes else 0
        self._slots = SlotCache(len(states), max_rows, self.max_length, budget - blocks * BLOCK)
        self._slots.adopt(states)
        self.prefixes = PrefixPool(self._slots, blocks)
        self._places = torch.arange(self.max_length + 128, device=self._device)

    @property
    def budget_tokens(self) -> int:
        """Token positions that the cache may hold in all."""
        return self._slots.budget_tokens

    def fits(self, rows: int, length: int) -> bool:
        """Tell whether the budget holds `rows` sequences of up to `length` positions."""
        return self._slots.fits(rows, length)

    @without_gradients
    def reserve(self, rows: int, length: int, used_rows: int, used_length: int) -> None:
        """Make room for them, keeping the used corner."""
        self._slots.reserve(rows, length, used_rows, used_length)

    @without_gradients
    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row over another."""
        self._slots.move(source, target, length)

    def release(self) -> None:
        """Give the cache's memory back when it is large."""
        self._slots.release()

    def usage(self, used_tokens: int) -> float:
        """Return the used share of the budget."""
        return min(1.0, used_tokens / self._slots.budget_tokens)

    def is_fatal(self, error: Exception) -> bool:
        """Tell whether the device is beyond use after this error."""
        return is_fatal(error)

    def begin(self, row: int, source: Any) -> int:
        """Refuse: a causal model reads tokens only."""
        raise TypeError("a causal model takes no source besides its tokens")

    @without_gradients
    def prefill(self, row: int, start: int, tokens: Sequence[int]) -> Any:
        """Compute prompt tokens at `start` of a row; return the logits of the last one, [1, vocabulary]."""
        window = self._slots.window
        window.row, window.start, window.span = row, start, start + len(tokens)
        positions = self._places[start : start + len(tokens)].unsqueeze(0)
        masks = None
        if start > 0:
            masks = self._masks(positions[0][:, None], window.span, lambda allowed: allowed[None, None])
        return self._forward(self._embed(tokens), positions, masks)

    @without_gradients
    def prefill_group(self, row: int, starts: Sequence[int], chunks: Sequence[Sequence[int]]) -> Any:
        """Compute `chunks[i]` at `starts[i]` of row + i; return the logits of each last one, [rows, vocabulary].

        Chunks are aligned at their ends: the last column is the last token of every row.
        """
        longest = max(len(chunk) for chunk in chunks)
        padding = torch.tensor([longest - len(chunk) for chunk in chunks], device=self._device)[:, None]
        columns = self._places[:longest]
        places = torch.tensor(starts, device=self._device)[:, None] + columns - padding
        which, column = (columns >= padding).nonzero(as_tuple=True)
        window = self._slots.window
        window.span = max(start + len(chunk) for start, chunk in zip(starts, chunks, strict=True))
        window.row, window.start = row, window.span - longest
        window.spread = Spread(row, which, column, which + row, places[which, column])
        try:
            places = places.clamp(min=0)
            masks = self._masks(places[:, :, None], window.span, lambda allowed: allowed[:, None])
            ids = torch.tensor([[0] * (longest - len(chunk)) + list(chunk) for chunk in chunks], device=self._device)
            return self._forward({"input_ids": ids}, places, masks)
        finally:
            window.spread = None

    @without_gradients
    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Any:
        """Compute one token at `positions[i]` of each row i; return logits [rows, vocabulary]."""
        window = self._slots.window
        window.row, window.span = -1, max(positions) + 1
        places = torch.tensor(positions, device=self._device)
        window.positions, window.indices = places, self._places[: len(positions)]
        ids = torch.tensor(tokens, device=self._device).unsqueeze(1)
        masks = self._masks(places[:, None], window.span, lambda allowed: allowed[:, None, None, :])
        if self._divides_rows:
            lengths = [position + 1 for position in positions]
            carry_runs(masks, lengths, self.bytes_per_token // len(self._slots.cache.layers))
        return self._forward({"input_ids": ids}, places.unsqueeze(1), masks)

    def _embed(self, tokens: Sequence[int]) -> dict[str, Any]:
        """Return prompt tokens as the arguments of the model that stand for them."""
        return {"input_ids": torch.tensor([tokens], device=self._device)}

    def _forward(self, inputs: dict[str, Any], positions: Any, masks: Any) -> Any:
        output = self._model(
            **inputs,
            position_ids=positions,
            attention_mask=masks,
            past_key_values=self._slots.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]

    def _masks(self, queries: Any, span: int, shaped: Any) -> Any:
        """Return the mask for queries at positions [n, 1] over `span` keys; a mapping when kinds of layers differ."""
        keys = self._places[:span]
        causal = keys <= queries
        masks = {}
        for kind in self._kinds:
            allowed = causal if kind == FULL else causal & (keys > queries - self._sliding_window)
            mask = shaped(allowed)
            masks[kind] = mask if self._boolean_masks else self._additive(mask)
        return masks if len(masks) > 1 else next(iter(masks.values()))

    def _additive(self, mask: Any) -> Any:
        dtype = self._model.dtype
        zeros = torch.zeros(mask.shape, dtype=dtype, device=self._device)
        return zeros.masked_fill(~mask, torch.finfo(dtype).min)

    @without_gradients
    def _probe_states(self) -> list[tuple[Any, Any]]:
        """Run two tokens through the model to learn the shapes of its keys and values, layer by layer."""
        output = self._model(
            input_ids=torch.tensor([[0, 0]], device=self._device), past_key_values=DynamicCache(), use_cache=True
        )
        layers = output.past_key_values.layers
        if not all(getattr(layer, "keys", None) is not None and layer.keys.dim() == 4 for layer in layers):
            raise UnusableModel(f"{type(self._model).__name__} does not keep plain keys and values for each layer")
        return [(layer.keys, layer.values) for layer in layers]

    def _refuse_unsuited(self, model: Any) -> None:
        name = type(model).__name__
        parameters = inspect.signature(model.forward).parameters
        missing = [key for key in ("position_ids", "past_key_values", "logits_to_keep") if key not in parameters]
        if missing:
            raise UnusableModel(f"{name} does not take {', '.join(missing)}; it cannot be batched continuously")
        if unknown := self._kinds - SUPPORTED_LAYERS:
            raise UnusableModel(f"{name} has layers of kind {', '.join(sorted(unknown))}, which are not supported")

    @without_gradients
    def verify(self, tokens: Sequence[int], short: Sequence[int] | None = None, source: Any = None) -> None:
        """Decode two rows of unequal length, by default `tokens` and half of them, and compare with the plain pass.

        Raises UnusableModel when the logits differ by more than rounding: better refused than subtly wrong.
        """
        with _refusing_by_name(self._model):
            self._compare(tokens, short, source)

    def _compare(self, tokens: Sequence[int], short: Sequence[int] | None, source: Any) -> None:
        short = tokens[: len(tokens) // 2] if short is None else short
        self.reserve(2, len(tokens) + 1, 0, 0)
        for place, known in enumerate((tokens, short)):
            if source is not None:
                self.begin(place, source)
            self.prefill(place, 0, known[:-2])
            self.prefill(place, len(known) - 2, known[-2:-1])
        ours = self.decode([tokens[-1], short[-1]], [len(tokens) - 1, len(short) - 1]).float()
        for index, row in enumerate((tokens, short)):
            ids = torch.tensor([row], device=self._device)
            plain = self._model(input_ids=ids, use_cache=False, **self._plain(source, len(row))).logits[0, -1].float()
            spread = float(plain.abs().max()) or 1.0
            worst = float((ours[index] - plain).abs().max()) / spread
            if not worst <= VERIFY_TOLERANCE[self._model.dtype]:
                raise UnusableModel(
                    f"{type(self._model).__name__} disagrees with itself under continuous batching "
                    f"(relative error {worst:.2g}); this architecture is not supported"
                )
        if self.group_rows > 1:
            self._try_groups(tokens, short, ours)
        if self.prefixes.blocks:
            self._try_prefixes(tokens, short, ours)

    def _try_groups(self, tokens: Sequence[int], short: Sequence[int], known: Any) -> None:
        """Prefill the same two rows together; where that gives other logits, prompts are computed one at a time."""

        def prefill() -> None:
            self.prefill(0, 0, tokens[:2])
            self.prefill_group(0, [2, 0], [tokens[2:-1], short[:-1]])

        if problem := self._try(prefill, tokens, short, known):
            self.group_rows = 1
            self._log("prompts are computed one at a time", problem=problem)
            for place, row in enumerate((tokens, short)):
                self.prefill(place, 0, row[:-1])

    def _try_prefixes(self, tokens: Sequence[int], short: Sequence[int], known: Any) -> None:
        """Decode a row from blocks that it left before; where that gives other logits, none are kept.

        Both rows hold their tokens, from the comparison or from the group.
        """
        pool, blocks = self.prefixes, list(range((len(tokens) - 2) // BLOCK))
        start = len(blocks) * BLOCK

        def prefill() -> None:
            pool.save(0, 0, blocks)
            self.prefill(0, 0, [0] * start)
            pool.load(0, blocks)
            self.prefill(0, start, tokens[start:-1])

        if problem := self._try(prefill, tokens, short, known):
            pool.drop()
        self._log("beginnings of prompts", kept_tokens=pool.blocks * BLOCK, problem=problem)

    def _try(self, prefill: Callable[[], None], tokens: Sequence[int], short: Sequence[int], known: Any) -> str:
        """Decode after a prefill of the two rows; return what is wrong with it, an empty string when it is right."""
        try:
            prefill()
            logits = self.decode([tokens[-1], short[-1]], [len(tokens) - 1, len(short) - 1]).float()
        except Exception as failure:
            if isinstance(failure, torch.OutOfMemoryError) or is_fatal(failure):
                raise
            return f"{type(failure).__name__}: {failure}"
        error = float((logits - known).abs().max()) / (float(known.abs().max()) or 1.0)
        return "" if error <= VERIFY_TOLERANCE[self._model.dtype] else f"relative error {error:.2g}"

    def _log(self, message: str, **facts: Any) -> None:
        logger.info(message, extra={"architecture": type(self._model).__name__, **facts})

    def _plain(self, source: Any, length: int) -> dict[str, Any]:
        """Return what the plain forward pass of the first `length` tokens takes besides them."""
        return {}


@contextmanager
def _refusing_by_name(model: Any) -> Iterator[None]:
    """Say which model it is that cannot take what this runner gives it; trouble of the device stays what it is."""
    try:
        yield
    except RuntimeFault:
        raise
    except Exception as error:
        if isinstance(error, torch.OutOfMemoryError) or is_fatal(error):
            raise
        raise UnusableModel(
            f"{type(model).__name__} cannot be batched continuously ({type(error).__name__}: {error}); "
            "this architecture is not supported"
        ) from error


def _layer_kinds(config: Any) -> set[str]:
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return set(kinds)
    return {SLIDING} if getattr(config, "sliding_window", None) else {FULL}
