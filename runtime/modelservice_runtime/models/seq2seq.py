"""An encoder-decoder over a slot KV cache: the runner of `SlotScheduler` for T5, BART, Marian, Whisper and captioners.

What a sequence is conditioned on (a text, a spectrogram, an image) is encoded when it gets its row. The first prefill
of the row makes each layer compute its cross-attention keys and values from that, once; they stay in a second slot
cache, whose rows have lengths of their own, so that a batch may mix short and long sources. The decoder's own keys and
values live in a slot cache as causal models use it.

A row has room for the longest source and the longest answer, so a sequence that was admitted is never preempted.
Whether an architecture agrees with this scheme is not guessed but tried at load, by `verify`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache

from modelservice_runtime.engine.prefix_cache import NoStore
from modelservice_runtime.engine.slot_cache import LENGTH_STEP, SlotCache, SlotLayer, Window
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.decoder import VERIFY_TOLERANCE
from modelservice_runtime.models.device import is_fatal, without_gradients
from modelservice_runtime.models.row_positions import install_row_positions


@dataclass(frozen=True, slots=True)
class Step:
    """One pass through the decoder; with ids and states alone it is the plain pass over a whole sequence.

    `ids` [rows, n], `states` [rows, source, size] what the encoder gave (only its shape counts once the cache holds
    the keys), `mask` and `source_mask` prepared 4-D masks, `positions` [rows, n] where the decoder takes them.
    """

    ids: Any
    states: Any
    mask: Any = None
    source_mask: Any = None
    positions: Any = None
    cache: Any = None


class Parts(Protocol):
    """The two halves of a model as the runner calls them; `decoder` holds the decoder's layers and its config."""

    decoder: Any

    def encode(self, source: Any) -> Any:
        """Return the encoder's states of one source, [1, length, size]."""

    def decode(self, step: Step) -> Any:
        """Return the decoder's logits, [rows, n, vocabulary]."""


class Seq2SeqParts:
    """`Parts` of transformers' encoder-decoder classes; `inputs_of` turns a source into the encoder's arguments."""

    def __init__(self, model: Any, inputs_of: Callable[[Any], dict[str, Any]]) -> None:
        self.decoder = model.get_decoder()
        self._model = model
        self._inputs_of = inputs_of

    def encode(self, source: Any) -> Any:
        """Run the encoder."""
        return self._model.get_encoder()(**self._inputs_of(source)).last_hidden_state

    def decode(self, step: Step) -> Any:
        """Run the decoder and the language model's head."""
        positions = {} if step.positions is None else {"decoder_position_ids": step.positions}
        return self._model(
            encoder_outputs=(step.states,),
            attention_mask=step.source_mask,
            decoder_input_ids=step.ids,
            decoder_attention_mask=step.mask,
            past_key_values=step.cache,
            use_cache=step.cache is not None,
            **positions,
        ).logits


class Seq2SeqDecoder:
    """Implements `DecoderRunner` for models in two `Parts`.

    `sample` is any source; `longest_source` and `max_length` bound the positions of a source and of an answer.
    """

    group_rows = 1
    prefixes = NoStore()  # an answer's beginning depends on its source

    def __init__(
        self, parts: Parts, sample: Any, longest_source: int, max_length: int, max_rows: int, budget_bytes: int
    ) -> None:
        self._parts = parts
        self._device, self._dtype = parts.decoder.device, parts.decoder.dtype
        self._boolean_masks = parts.decoder.config._attn_implementation == "sdpa"
        own, cross = self._probe(sample)
        row_bytes = max_length * _bytes_per_token(own) + longest_source * _bytes_per_token(cross)
        rows = max(1, min(max_rows, budget_bytes // row_bytes))
        self.max_length, self.longest_source, self.max_rows = max_length, longest_source, rows
        self._slots = _make_slots(own, rows, max_length)
        self._cross = _make_slots(cross, rows, longest_source)
        self._views = [CrossView(self._cross.window) for _ in cross]
        self._fresh = EncoderDecoderCache(self._slots.cache, self._cross.cache)
        self._known = EncoderDecoderCache(self._slots.cache, Cache(layers=list(self._views)))
        self._known.is_updated = dict.fromkeys(range(len(cross)), True)
        self._counts_itself = install_row_positions(parts.decoder, self._slots.window, max_length)
        self._places = torch.arange(max(max_length, longest_source) + LENGTH_STEP, device=self._device)
        self._states: Any = None
        self._lengths: dict[int, int] = {}

    @property
    def budget_tokens(self) -> int:
        """Token positions of answers that the cache may hold in all."""
        return self.max_rows * self.max_length

    def fits(self, rows: int, length: int) -> bool:
        """Tell whether there is room for `rows` sequences; each may grow to the longest answer."""
        return rows <= self.max_rows

    @without_gradients
    def reserve(self, rows: int, length: int, used_rows: int, used_length: int) -> None:
        """Make room for them, keeping the used corner."""
        self._slots.reserve(rows, length, used_rows, used_length)

    @without_gradients
    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row over another, with what it is conditioned on."""
        self._slots.move(source, target, length)
        self._lengths[target] = self._lengths[source]
        self._cross.move(source, target, self._lengths[source])

    def release(self) -> None:
        """Give the cache's memory back when it is large."""
        self._slots.release()
        self._cross.release()

    def usage(self, used_tokens: int) -> float:
        """Return the used share of the budget."""
        return min(1.0, used_tokens / self.budget_tokens)

    def is_fatal(self, error: Exception) -> bool:
        """Tell whether the device is beyond use after this error."""
        return is_fatal(error)

    @without_gradients
    def begin(self, row: int, source: Any) -> int:
        """Encode what a row is conditioned on; return its length."""
        return self._take_in(row, self._parts.encode(source))

    def _take_in(self, row: int, states: Any) -> int:
        self._states = states
        length = int(self._states.shape[1])
        earlier = [self._lengths[used] for used in range(row)]
        self._cross.reserve(row + 1, length, row, max(earlier, default=0))
        self._lengths[row] = length
        return length

    @without_gradients
    def prefill(self, row: int, start: int, tokens: Sequence[int]) -> Any:
        """Compute prompt tokens at `start` of a row; return the logits of the last one, [1, vocabulary]."""
        window, span = self._slots.window, start + len(tokens)
        window.row, window.start, window.span = row, start, span
        ids = torch.tensor([tokens], device=self._device)
        positions = self._places[start:span]
        mask = self._mask((self._places[:span] <= positions[:, None])[None, None])
        if start == 0:
            self._cross.window.row, self._cross.window.start = row, 0
            self._fresh.is_updated = dict.fromkeys(self._fresh.is_updated, False)
            states, cache, self._states = self._states, self._fresh, None
        else:
            states, cache = self._look(slice(row, row + 1), self._lengths[row]), self._known
        return self._decode_step(Step(ids, states, mask, None, positions[None], cache))

    def prefill_group(self, row: int, starts: Sequence[int], chunks: Sequence[Sequence[int]]) -> Any:
        """Refuse: each row's prompt is a few tokens, and its source has to be encoded first."""
        raise TypeError("an encoder-decoder is prefilled one row at a time")

    @without_gradients
    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Any:
        """Compute one token at `positions[i]` of each row i; return logits [rows, vocabulary]."""
        window, rows = self._slots.window, len(tokens)
        window.row, window.span = -1, max(positions) + 1
        places = torch.tensor(positions, device=self._device)
        window.positions, window.indices = places, self._places[:rows]
        ids = torch.tensor(tokens, device=self._device).unsqueeze(1)
        mask = self._mask((self._places[: window.span] <= places[:, None])[:, None, None])
        lengths = [self._lengths[row] for row in range(rows)]
        states = self._look(slice(0, rows), max(lengths))
        return self._decode_step(Step(ids, states, mask, self._source_mask(lengths), places[:, None], self._known))

    def _decode_step(self, step: Step) -> Any:
        positions = None if self._counts_itself else step.positions
        return self._parts.decode(Step(step.ids, step.states, step.mask, step.source_mask, positions, step.cache))[
            :, -1
        ]

    def _look(self, rows: slice, span: int) -> Any:
        """Show attention the cross keys of these rows; return states of the right shape, whose values nobody reads."""
        for view, stored in zip(self._views, self._cross.cache.layers, strict=True):
            view.keys, view.values = stored.keys[rows, :, :span], stored.values[rows, :, :span]
        return self._nothing.expand(rows.stop - rows.start, span, -1)

    def _source_mask(self, lengths: Sequence[int]) -> Any:
        """Return the mask [rows, 1, 1, longest] over sources of unequal length, None when they are equal."""
        longest = max(lengths)
        if min(lengths) == longest:
            return None
        known = self._places[:longest] < torch.tensor(lengths, device=self._device)[:, None]
        return self._mask(known[:, None, None])

    def _mask(self, allowed: Any) -> Any:
        if self._boolean_masks:
            return allowed
        zeros = torch.zeros(allowed.shape, dtype=self._dtype, device=self._device)
        return zeros.masked_fill(~allowed, torch.finfo(self._dtype).min)

    @without_gradients
    def _probe(self, sample: Any) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
        """Run one token to learn the shapes of keys and values, layer by layer, of both kinds of attention."""
        self._sample_states = states = self._parts.encode(sample)
        self._nothing = states.new_zeros((1, 1, states.shape[-1]))
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        self._parts.decode(Step(torch.tensor([[0]], device=self._device), states, cache=cache))
        own, cross = (
            [(layer.keys, layer.values) for layer in each.layers]
            for each in (cache.self_attention_cache, cache.cross_attention_cache)
        )
        if not own or len(own) != len(cross) or any(keys is None or keys.dim() != 4 for keys, _ in (*own, *cross)):
            raise UnusableModel(f"{type(self._parts.decoder).__name__} does not keep plain keys and values a layer")
        return own, cross

    def expect_whole(self) -> None:
        """Let the decoder count positions from the first token, for plain passes over a whole sequence."""
        self._slots.window.row, self._slots.window.start = 0, 0

    @without_gradients
    def verify(self, tokens: Sequence[int], short_source: Any = None) -> None:
        """Decode two rows of unequal length and compare with the plain pass; `short_source` is that of the second row.

        Raises UnusableModel when the logits differ by more than rounding: better refused than subtly wrong.
        """
        short = tokens[: max(2, len(tokens) // 2)]
        sample = self._sample_states
        states = (sample, sample if short_source is None else self._parts.encode(short_source))
        self.reserve(2, len(tokens) + 1, 0, 0)
        for place, (each, known) in enumerate(zip(states, (tokens, short), strict=True)):
            self._take_in(place, each)
            self.prefill(place, 0, known[:1])
            if len(known) > 2:
                self.prefill(place, 1, known[1:-1])
        ours = self.decode([tokens[-1], short[-1]], [len(tokens) - 1, len(short) - 1]).float()
        self.expect_whole()
        for index, (each, row) in enumerate(zip(states, (tokens, short), strict=True)):
            ids = torch.tensor([row], device=self._device)
            plain = self._parts.decode(Step(ids, each))[0, -1].float()
            worst = float((ours[index] - plain).abs().max()) / (float(plain.abs().max()) or 1.0)
            if not worst <= VERIFY_TOLERANCE[self._dtype]:
                raise UnusableModel(
                    f"{type(self._parts.decoder).__name__} disagrees with itself under continuous batching "
                    f"(relative error {worst:.2g}); this architecture is not supported"
                )


class CrossView(SlotLayer):
    """What attention reads of one layer's cross keys and values in this pass; set before it, never updated."""


def _make_slots(states: list[tuple[Any, Any]], rows: int, length: int) -> SlotCache:
    slots = SlotCache(len(states), rows, length, rows * (length + LENGTH_STEP), Window())
    slots.adopt(states)
    return slots


def _bytes_per_token(states: list[tuple[Any, Any]]) -> int:
    return sum(int(t.shape[1] * t.shape[3] * t.element_size()) for pair in states for t in pair)
