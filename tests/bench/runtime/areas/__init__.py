"""One module for each group of targets; `AREAS` names the functions that measure them."""

from collections.abc import Awaitable, Callable

from tests.bench.runtime.areas import agreement, encoders, generation, int8, media, operation, overload, streams
from tests.bench.runtime.bench import Bench
from tests.bench.runtime.figures import Line

Measure = Callable[[Bench], Awaitable[list[Line]]]

AREAS: dict[str, Measure] = {
    "generation": generation.measure,
    "mixed": streams.measure_mixed,
    "prefix": streams.measure_prefix,
    "encoders": encoders.measure,
    "lengths": encoders.measure_lengths,
    "speech": media.measure_speech,
    "images": media.measure_images,
    "pictures": media.measure_pictures,
    "int8": int8.measure,
    "overload": overload.measure,
    "probes": operation.measure_probes,
    "cancel": operation.measure_cancel,
    "start": operation.measure_start,
    "memory": operation.measure_memory,
    "agreement": agreement.measure,
}
