"""Keys and values of prompts that may come again: a system prompt is computed once, not for every conversation.

A prompt is kept in blocks of a few tokens. A block is known by what it follows and by its own tokens, compared one by
one and not by a hash, so prompts that begin alike share the blocks of their beginning, and what is found is always the
prompt's own. Keys and values depend on whatever the model reads besides tokens too: every adapter has blocks of its
own, and prompts with images are left out. So has every caller that the server tells apart, as otherwise the time to a
first token would tell one what another has asked.

What is found is copied into the sequence's row and what was computed is copied out of it, so blocks are never in use
and any of them can go. The least recently used goes first, and a block counts as used whenever one that follows it is:
what follows a block always goes before it.
"""

from collections import OrderedDict
from collections.abc import Hashable
from collections.abc import Sequence as Seq
from itertools import count
from typing import Any, Protocol

from modelservice_runtime.engine.generation import Sequence
from modelservice_runtime.engine.scheduling import PrefixCounts, Ticket

BLOCK = 16  # tokens
LEAST_SAVED = 2 * BLOCK  # a shorter beginning costs about as much to copy as to compute
LEAST_PROMPT = 4 * BLOCK  # of shorter prompts a pass computes several at once


class PrefixStore(Protocol):
    """Where the keys and values of blocks are, beside the rows of the slot cache; `blocks` 0 is off. Torch thread."""

    blocks: int

    def save(self, row: int, start: int, places: Seq[int]) -> None:
        """Copy the positions of a row from `start` on to the blocks at `places`."""

    def load(self, row: int, places: Seq[int]) -> None:
        """Copy the blocks at `places` to the first positions of a row."""


class PrefixCache:
    """The beginnings of prompts that a store holds. All but `counts` on the torch thread."""

    def __init__(self, store: PrefixStore) -> None:
        self._store = store
        self._index = PrefixIndex(store.blocks)
        self._counts = PrefixCounts()

    @property
    def counts(self) -> PrefixCounts | None:
        """What was looked up and found; None when nothing is kept."""
        return self._counts if self._store.blocks else None

    def restore(self, row: int, sequence: Sequence) -> None:
        """Copy the known beginning of a sequence into its row; at least one token is left to compute."""
        scope = self._scope(sequence.ticket)
        if scope is None:
            return
        places = self._index.find(scope, sequence.tokens[:-1])
        if len(places) * BLOCK >= LEAST_SAVED:
            self._store.load(row, places)
            sequence.computed = len(places) * BLOCK

    def note(self, sequence: Sequence) -> None:
        """Count a sequence that has just been restored for the first time."""
        sequence.cached = sequence.computed
        known = self._counts
        self._counts = PrefixCounts(known.queries + len(sequence.tokens), known.hits + sequence.cached)

    def keep(self, row: int, sequence: Sequence) -> None:
        """Copy what is new of a prompt out of the row that holds all of it."""
        scope, prompt = self._scope(sequence.ticket), sequence.tokens[: sequence.prompt_length]
        if scope is None or len(prompt) < LEAST_PROMPT:
            return
        start, places = self._index.add(scope, prompt)
        if not places:
            return
        try:
            self._store.save(row, start * BLOCK, places)
        except Exception:
            self._index = PrefixIndex(self._store.blocks)  # what the blocks hold is not known any more
            raise

    def awaits(self, ticket: Ticket, tokens: Seq[int], others: Seq[Sequence]) -> bool:
        """Tell whether one of the prompts that are being computed will leave more of this one than there is."""
        scope = self._scope(ticket)
        if scope is None or not others:
            return False
        known = len(self._index.find(scope, tokens[:-1])) * BLOCK
        wanted = list(tokens[: known + LEAST_SAVED])
        return len(tokens) > len(wanted) and any(
            other.prompt_length >= LEAST_PROMPT
            and other.tokens[: len(wanted)] == wanted
            and self._scope(other.ticket) == scope
            for other in others
        )

    def _scope(self, ticket: Ticket) -> Hashable | None:
        """Return what a prompt may share blocks within, None when it may share none.

        A source that is a name is that of an adapter; pictures change what the model computes in ways that tokens do
        not tell.
        """
        source = ticket.item.source
        is_shared = self._store.blocks and (source is None or isinstance(source, str))
        return (ticket.caller, source) if is_shared else None


class PrefixIndex:
    """A tree of blocks by their tokens, with the place of each in the store, in the order of their last use."""

    def __init__(self, blocks: int) -> None:
        self._free = list(range(blocks))[::-1]
        self._blocks = blocks
        self._known: OrderedDict[tuple[Any, tuple[int, ...]], tuple[int, int]] = OrderedDict()  # to number and place
        self._numbers = count()

    def find(self, scope: Hashable, tokens: Seq[int]) -> list[int]:
        """Return the places of the longest known beginning, whole blocks only."""
        known = self._follow(scope, tokens)
        return [self._known[key][1] for key in known]

    def add(self, scope: Hashable, tokens: Seq[int]) -> tuple[int, list[int]]:
        """Make room for the blocks of a prompt that are not known; return the number of those that are, and places."""
        known = self._follow(scope, tokens)
        first = len(known)
        most = min(len(tokens) // BLOCK, self._blocks)
        while len(self._free) < most - first:
            _, (_, place) = self._known.popitem(last=False)
            self._free.append(place)
        places = []
        parent: Any = self._known[known[-1]][0] if known else (scope,)
        for start in range(first * BLOCK, most * BLOCK, BLOCK):
            key = parent, tuple(tokens[start : start + BLOCK])
            parent = next(self._numbers)
            self._known[key] = parent, self._free.pop()
            places.append(self._known[key][1])
            known.append(key)
        self._use(known)
        return first, places

    def _follow(self, scope: Hashable, tokens: Seq[int]) -> list[tuple[Any, tuple[int, ...]]]:
        """Return the keys of the known blocks that a prompt begins with, and note their use."""
        found = []
        parent: Any = (scope,)
        for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
            key = parent, tuple(tokens[start : start + BLOCK])
            if key not in self._known:
                break
            parent = self._known[key][0]
            found.append(key)
        self._use(found)
        return found

    def _use(self, keys: Seq[Any]) -> None:
        for key in reversed(keys):
            self._known.move_to_end(key)


class NoStore:
    """Implements `PrefixStore` for models whose keys and values are not kept."""

    blocks = 0

    def save(self, row: int, start: int, places: Seq[int]) -> None:
        """Do nothing."""

    def load(self, row: int, places: Seq[int]) -> None:
        """Do nothing."""
