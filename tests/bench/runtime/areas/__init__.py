"""One module for each group of targets; `AREAS` names the functions that measure them."""

from collections.abc import Awaitable, Callable

from tests.bench.runtime.areas import generation
from tests.bench.runtime.bench import Bench
from tests.bench.runtime.figures import Line

Measure = Callable[[Bench], Awaitable[list[Line]]]

AREAS: dict[str, Measure] = {
    "generation": generation.measure,
}
