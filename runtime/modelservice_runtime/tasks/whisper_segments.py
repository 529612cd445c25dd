"""Where the segments of a window lie, and from where the next window is heard; the scheme of Whisper's authors.

Whisper writes a time before and after each segment (`<|0.00|> Hello. <|1.20|><|1.20|> And ...`). A pair of times closes
one segment and opens the next. When the last segment of a window has no end, the window cuts through it: it is dropped,
and the next window begins where it began. (Radford et al. 2022, section 3.8; transformers' `_retrieve_segment`.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

FRAMES_PER_TIME = 2
SECONDS_PER_TIME = 0.02
LEAST_FRAMES = 100


@dataclass(frozen=True, slots=True)
class Part:
    """The tokens `first` to `last` of a window, `start` and `end` in seconds from its beginning."""

    start: float
    end: float
    first: int
    last: int


def cut_window(tokens: Sequence[int], first_time: int, frames: int) -> tuple[list[Part], int]:
    """Return the segments of a window of `frames` frames, and how many frames further the next one begins.

    `first_time` is the token of 0.00 seconds.
    """
    is_time = [token >= first_time for token in tokens]
    cuts = [place + 1 for place in range(len(tokens) - 1) if is_time[place] and is_time[place + 1]]
    closed = is_time[-2:] == [False, True]
    if not cuts:
        return [Part(0.0, _last_time(tokens, first_time, frames), 0, len(tokens))], frames
    if closed:
        cuts.append(len(tokens))
    parts, first = [], 0
    for cut in cuts:
        parts.append(_part(tokens, first, cut, first_time, frames))
        first = cut
    if closed:
        return parts, frames
    return parts, max((tokens[first - 1] - first_time) * FRAMES_PER_TIME, LEAST_FRAMES)


def _part(tokens: Sequence[int], first: int, last: int, first_time: int, frames: int) -> Part:
    start = (tokens[first] - first_time) * SECONDS_PER_TIME if tokens[first] >= first_time else 0.0
    ended = last - 1 > first and tokens[last - 1] >= first_time
    end = (tokens[last - 1] - first_time) * SECONDS_PER_TIME if ended else frames * SECONDS_PER_TIME / FRAMES_PER_TIME
    return Part(start, max(start, end), first, last)


def _last_time(tokens: Sequence[int], first_time: int, frames: int) -> float:
    """Return the last time that a window without pairs states, or how long it is."""
    times = [token for token in tokens if token >= first_time]
    if times and times[-1] != first_time:
        return (times[-1] - first_time) * SECONDS_PER_TIME
    return frames * SECONDS_PER_TIME / FRAMES_PER_TIME
