"""When each token was said, from where the decoder looked while it wrote.

The attention of some heads follows the sound. Dynamic time warping finds the path from the first token at the first
place to the last token at the last place that sees the most attention, moving on by a token, a place, or both at each
step. A token ends where the path leaves it. (Radford et al. 2022; transformers' `_extract_token_timestamps`, whose
choices between equal paths are kept. Its loop over cells takes most of a second for a full window; here the cells of
a diagonal, which do not depend on one another, are computed at once.)
"""

import numpy as np
from numpy.typing import NDArray

from modelservice_runtime.tasks.whisper_segments import SECONDS_PER_TIME

BOTH, TOKEN, PLACE = 0, 1, 2

Floats = NDArray[np.float32]


def align(weights: Floats, smoothing: int) -> list[float]:
    """Return the second, from the beginning of the window, at which each token ends.

    `weights` [heads, tokens, places] say where each token looked; `smoothing` is the odd width of a median filter.
    """
    if 0 in weights.shape:
        return [0.0] * weights.shape[1]
    spread = weights.std(axis=1, keepdims=True)
    scaled = (weights - weights.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    tokens, places = warp(-_smooth(scaled, smoothing).mean(axis=0))
    moved_on = np.diff(tokens, prepend=-1) > 0
    return [float(place * SECONDS_PER_TIME) for place in places[moved_on]]


def warp(costs: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cheapest path through `costs` [tokens, places], as the token and the place of each of its cells."""
    tokens, places = costs.shape
    moves = np.full((tokens + 1, places + 1), PLACE, np.int8)
    older = np.full(tokens + 1, np.inf, np.float32)
    older[0] = 0
    newer = np.full(tokens + 1, np.inf, np.float32)
    for diagonal in range(2, tokens + places + 1):
        first, last = max(1, diagonal - places), min(tokens, diagonal - 1)
        rows = np.arange(first, last + 1)
        both, token, place = older[first - 1 : last], newer[first - 1 : last], newer[first : last + 1]
        move = np.where((both < token) & (both < place), BOTH, np.where((token < both) & (token < place), TOKEN, PLACE))
        current = np.full(tokens + 1, np.inf, np.float32)
        current[rows] = costs[rows - 1, diagonal - rows - 1] + np.choose(move, (both, token, place))
        moves[rows, diagonal - rows] = move
        older, newer = newer, current
    return _walk_back(moves)


def _walk_back(moves: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    token, place = moves.shape[0] - 1, moves.shape[1] - 1
    path = []
    while token > 0 and place > 0:
        path.append((token - 1, place - 1))
        move = moves[token, place]
        token -= move != PLACE
        place -= move != TOKEN
    cells = np.array(path[::-1], np.int64)
    return cells[:, 0], cells[:, 1]


def _smooth(values: Floats, width: int) -> Floats:
    """Return the median of each value and its neighbours along the last axis; short rows stay as they are."""
    if values.shape[-1] <= width // 2:
        return values
    padded = np.pad(values, ((0, 0), (0, 0), (width // 2, width // 2)), mode="reflect")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, width, axis=-1), axis=-1), np.float32)
