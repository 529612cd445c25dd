"""A KV cache with one row (slot) per running sequence.

Keys and values of a layer are one tensor [rows, heads, length, head size]. A decode step writes one position of each
row and attends over the first `span` positions of all of them, with a mask for the shorter rows; no row ever attends
to another, which is what makes a flattened batch grow with its square. Both dimensions grow in steps, so a server that
sees short prompts does not pay for its longest context, and the product rows x length stays inside a budget of tokens.

The rows in use are always the first ones: whoever frees a row moves the last one into it.
"""

from dataclasses import dataclass, field
from typing import Any

from transformers.cache_utils import Cache, CacheLayerMixin

LENGTH_STEP = 128


@dataclass(slots=True)
class Window:
    """What the running forward pass reads and writes; shared by all layers.

    Prefill: `row` and `start` say where the new positions go. Decode: `row` is -1, `positions` [rows] says which
    position each row writes, and `span` how many positions the longest row has after that. A prefill of several rows
    has a `spread` besides.
    """

    row: int = -1
    start: int = 0
    positions: Any = None
    indices: Any = None
    span: int = 0
    spread: "Spread | None" = None


@dataclass(frozen=True, slots=True)
class Spread:
    """A prefill of neighbouring rows from `first` on, their chunks padded on the left to one length.

    State [i, :, columns] of the pass goes to the position `positions` of row `rows`, for each of the real tokens; the
    padding is not written.
    """

    first: int
    places: Any
    columns: Any
    rows: Any
    positions: Any


class SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one attention layer."""

    is_sliding = False

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window

    def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
        """Adopt the shapes and the dtype of the first states; `resize` allocates."""
        self.keys = key_states.new_empty((0, key_states.shape[1], 0, key_states.shape[3]))
        self.values = value_states.new_empty((0, value_states.shape[1], 0, value_states.shape[3]))
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *_args: Any, **_kwargs: Any) -> tuple[Any, Any]:
        """Write the new states where the window says, and return all that the queries may see."""
        window = self._window
        if window.spread is not None:
            return self._update_spread(window.spread, key_states, value_states)
        if window.row < 0:
            rows = key_states.shape[0]
            self.keys[window.indices, :, window.positions] = key_states[:, :, 0]
            self.values[window.indices, :, window.positions] = value_states[:, :, 0]
            return self.keys[:rows, :, : window.span], self.values[:rows, :, : window.span]
        row = slice(window.row, window.row + 1)
        end = window.start + key_states.shape[2]
        self.keys[row, :, window.start : end] = key_states
        self.values[row, :, window.start : end] = value_states
        return self.keys[row, :, :end], self.values[row, :, :end]

    def _update_spread(self, spread: Spread, key_states: Any, value_states: Any) -> tuple[Any, Any]:
        rows, span = slice(spread.first, spread.first + key_states.shape[0]), self._window.span
        self.keys[spread.rows, :, spread.positions] = key_states[spread.places, :, spread.columns]
        self.values[spread.rows, :, spread.positions] = value_states[spread.places, :, spread.columns]
        return self.keys[rows, :, :span], self.values[rows, :, :span]

    def resize(self, rows: int, length: int, used_rows: int, used_length: int) -> None:
        """Reallocate, keeping the used corner. The rest is zero: a masked NaN would still spoil a row."""
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_zeros((rows, old.shape[1], length, old.shape[3]))
            new[:used_rows, :, :used_length] = old[:used_rows, :, :used_length]
            setattr(self, name, new)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first positions of a row over another row."""
        self.keys[target, :, :length] = self.keys[source, :, :length]
        self.values[target, :, :length] = self.values[source, :, :length]

    def get_seq_length(self) -> int:
        """Return how many positions precede the queries of the running pass."""
        return self._window.start if self._window.row >= 0 else max(0, self._window.span - 1)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the number of keys that the queries see, and the position of the first."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """Return -1: the layer grows."""
        return -1


@dataclass
class SlotCache:
    """All layers, their common size, and the budget in tokens (rows x length)."""

    layers: int
    max_rows: int
    max_length: int
    budget_tokens: int
    window: Window = field(default_factory=Window)
    rows: int = 0
    length: int = 0

    def __post_init__(self) -> None:
        self.cache = Cache(layers=[SlotLayer(self.window) for _ in range(self.layers)])

    def adopt(self, states: list[tuple[Any, Any]]) -> None:
        """Learn the shapes of each layer from the keys and values that a first pass produced."""
        for layer, (keys, values) in zip(self.cache.layers, states, strict=True):
            layer.lazy_initialization(keys, values)

    def fits(self, rows: int, length: int) -> bool:
        """Tell whether `rows` sequences of up to `length` positions are within the budget."""
        return rows <= self.max_rows and (rows == 1 or rows * _rounded(length) <= self.budget_tokens)

    def reserve(self, rows: int, length: int, used_rows: int, used_length: int) -> None:
        """Grow so that `rows` x `length` positions can be written. The caller has asked `fits`."""
        if rows <= self.rows and length <= self.length:
            return
        target_rows = max(self.rows, rows)
        target_length = max(self.length, min(_rounded(length), self.max_length))
        if target_rows > self.rows:
            doubled = min(self.max_rows, 2 * self.rows)
            target_rows = max(target_rows, doubled if self.fits(doubled, target_length) else rows)
        if not self.fits(target_rows, target_length):
            target_rows, target_length = rows, min(_rounded(length), self.max_length)
        self._resize(target_rows, target_length, used_rows, used_length)

    def release(self) -> None:
        """Give the memory back; called when no sequence is left."""
        if self.rows * self.length > max(self.max_length, self.budget_tokens // 4):
            self._resize(0, 0, 0, 0)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first positions of a row over another row, in every layer."""
        for layer in self.cache.layers:
            layer.move(source, target, length)

    def _resize(self, rows: int, length: int, used_rows: int, used_length: int) -> None:
        for layer in self.cache.layers:
            layer.resize(rows, length, min(used_rows, self.rows, rows), min(used_length, self.length, length))
        self.rows, self.length = rows, length


def _rounded(length: int) -> int:
    return -(-length // LENGTH_STEP) * LENGTH_STEP
