"""Cuts a long recording into windows that a model can hear at once, where it is quiet.

A model that reads a whole recording in one pass pays for its length squared. Cutting at the quietest moment near the
end of each window keeps words whole, so that what is heard can simply be joined.
"""

from collections.abc import Iterator

import numpy as np

from modelservice_runtime.media.audio import Samples

FRAME_SECONDS = 0.05
SEARCH_SHARE = 0.25


def cut_quietly(samples: Samples, rate: int, seconds: float) -> Iterator[tuple[int, Samples]]:
    """Yield (first sample, samples) of windows of at most `seconds`, in order; together they are the recording."""
    start, longest = 0, int(seconds * rate)
    while len(samples) - start > longest:
        end = start + longest
        end -= _quietest(samples[end - int(SEARCH_SHARE * longest) : end], int(FRAME_SECONDS * rate))
        yield start, samples[start:end]
        start = end
    yield start, samples[start:]


def _quietest(tail: Samples, frame: int) -> int:
    """Return how many samples before the end the quietest frame of `tail` has its middle."""
    frames = tail[len(tail) % frame :].reshape(-1, frame)
    quietest = int(np.square(frames).mean(axis=1).argmin())
    return (len(frames) - quietest) * frame - frame // 2
