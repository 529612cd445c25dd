"""Three times as many requests as can be answered: what is still answered, how soon the rest is refused, and memory."""

from functools import partial

from tests.bench.runtime.areas.generation import our_chat, warm
from tests.bench.runtime.bench import Bench
from tests.bench.runtime.contenders import ours
from tests.bench.runtime.figures import Line, answers_per_second, percentile, ratio_line, value_line
from tests.bench.runtime.load import Generator
from tests.bench.runtime.machine import resident_bytes
from tests.bench.runtime.models import model_folder
from tests.bench.runtime.targets import TARGETS

FACTOR, CLIENTS, QUEUE = 3, 64, 32
RAMP = 3.0
"""Seconds until the queue is full and the first that waited in it are answered."""
REFUSED = (429, 503)


async def measure(bench: Bench) -> list[Line]:
    """Measure the capacity by a closed loop, then send three times as much by an open one."""
    folder, make = model_folder("llama-19m"), partial(our_chat, max_tokens=32)
    seconds = 12.0 if bench.quick else 1800.0
    first = len(bench.foreign.shares)
    async with bench.serving(ours(folder, "float32", limits_max_queue=str(QUEUE))) as server:
        await warm(server, make(0))
        async with Generator(server.base) as generator:
            with bench.foreign.watch():
                capacity = answers_per_second(await generator.closed(CLIENTS, make, max(6.0, bench.seconds), 1.0))
            await generator.opened(FACTOR * capacity, make, seconds / 4, patience=5)
            before = resident_bytes(server.pid)
            with bench.foreign.watch():
                load = await generator.opened(FACTOR * capacity, make, seconds, seed=1, patience=15, warm=RAMP)
            after = resident_bytes(server.pid)
    refusals = [(o.ended - o.began) * 1000 for o in load.outcomes if o.status in REFUSED]
    note = f"{len(refusals)} of {len(load.outcomes)} were refused, in {seconds:.0f} s; limits.max_queue {QUEUE}"
    of, foreign = "llama-19m float32", bench.foreign.note(first)
    note = "; ".join(part for part in (note, foreign) if part)
    return [
        ratio_line(TARGETS["goodput"], of, [answers_per_second(load)], [capacity], note),
        value_line(TARGETS["refusals"], of, [percentile(refusals, 0.99)], note),
        value_line(TARGETS["growth"], of, [after / before - 1], f"over {seconds:.0f} s"),
    ]
