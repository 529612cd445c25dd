"""Classifying texts: against LitServe, Infinity and raw batches; mixed lengths against batches by arrival."""

from contextlib import AsyncExitStack
from functools import partial

from tests.bench.runtime.areas.generation import warm
from tests.bench.runtime.bench import Bench
from tests.bench.runtime.contenders import NAME, environment, infinity, litserve, ours
from tests.bench.runtime.crosscheck import cross_check
from tests.bench.runtime.figures import Figures, Line, answers_per_second, latencies, median, ratio_line, value_line
from tests.bench.runtime.load import Generator, Make, Shot, json_shot
from tests.bench.runtime.models import model_folder
from tests.bench.runtime.scrape import scrape, summed
from tests.bench.runtime.servers import Server
from tests.bench.runtime.targets import TARGETS
from tests.bench.runtime.turns import Contender, Turns, take_turns
from tests.bench.runtime.words import text

WORDS, ROWS = 24, 32
LENGTHS = (8, 120, 30, 250, 60, 16, 180, 90)
PADDING = "inference_batch_padding_ratio"


def our_text(number: int, words: int = WORDS) -> Shot:
    """Make a request to classify a text."""
    return json_shot("/v1/classify", {"model": NAME, "input": text(words, number)})


def mixed_text(number: int) -> Shot:
    """Make a request of 8 to 250 words."""
    return our_text(number, LENGTHS[number % len(LENGTHS)])


def litserve_text(number: int) -> Shot:
    """The same for LitServe."""
    return json_shot("/predict", {"input": text(WORDS, number)})


def infinity_text(number: int) -> Shot:
    """The same for Infinity."""
    return json_shot("/classify", {"model": NAME, "input": [text(WORDS, number)]})


async def measure(bench: Bench) -> list[Line]:
    """Measure every model."""
    workloads = [("bert-98m", "float32")]
    if not bench.quick:
        workloads += [("bert-17m", "float32"), ("bert-98m", bench.fast_dtype), ("demo-sentiment", "float32")]
    lines: list[Line] = []
    for model, dtype in dict.fromkeys(workloads):
        lines += await _measure(bench, model, dtype)
    return lines


async def _measure(bench: Bench, model: str, dtype: str) -> list[Line]:
    folder, lines = model_folder(model), []
    async with AsyncExitStack() as stack:
        raw = await stack.enter_async_context(bench.raw(folder, dtype, "encoder"))
        mine = await stack.enter_async_context(bench.serving(ours(folder, dtype)))
        lit = litserve(await environment("litserve"), folder, dtype, "text")
        inf = infinity(await environment("infinity"), folder, dtype)
        makes = {mine: our_text, await stack.enter_async_context(bench.serving(lit)): litserve_text}
        makes[await stack.enter_async_context(bench.serving(inf))] = infinity_text
        for server, make in makes.items():
            await warm(server, make(0))
        for clients in (1, ROWS):
            contenders = [
                Contender(s.name, partial(load_texts, s, m, clients, bench.seconds), s) for s, m in makes.items()
            ]
            lengths = [WORDS] * clients
            contenders.append(Contender("raw", partial(raw.measure, "encode", lengths=lengths, seconds=bench.seconds)))
            turns = await take_turns(contenders, bench.rounds, bench.foreign)
            lines += _lines(turns, clients, f"{model} {dtype}")
            bench.say(f"  {model} {dtype}, {clients} clients: {lines[-1].ratio or lines[-1].ours}")
        bench.say("  " + await cross_check(bench, mine, our_text))
    return lines


async def load_texts(server: Server, make: Make, clients: int, seconds: float) -> Figures:
    """Load a server with texts for a while."""
    async with Generator(server.base) as generator:
        load = await generator.closed(clients, make, seconds, 0.5)
    return {"answers": answers_per_second(load), "latency": median(latencies(load))}


def _lines(turns: Turns, clients: int, of: str) -> list[Line]:
    mine, peers = turns.of("ours", "answers"), {name: turns.of(name, "answers") for name in ("LitServe", "Infinity")}
    best = max(peers, key=lambda name: median(peers[name]))
    others = ", ".join(f"{name} {median(values):.1f}" for name, values in peers.items())
    note = "; ".join(part for part in (f"the best peer is {best} ({others})", turns.note) if part)
    if clients == 1:
        pairs = zip(turns.of("ours", "latency"), turns.of("raw", "latency"), strict=True)
        added = [(ours_took - raw_took) * 1000 for ours_took, raw_took in pairs]
        return [
            ratio_line(TARGETS["encoder-1"], of, mine, peers[best], note),
            value_line(TARGETS["encoder-added"], of, added, turns.note),
        ]
    return [
        ratio_line(TARGETS["encoder-32"], of, mine, peers[best], note),
        ratio_line(TARGETS["encoder-32-raw"], of, mine, turns.of("raw", "per_second"), turns.note),
    ]


async def measure_lengths(bench: Bench) -> list[Line]:
    """Texts of 8 to 250 words: what is padded, and what sorting by length gains over batches by arrival."""
    folder, of = model_folder("bert-17m"), "bert-17m float32"
    lengths = [LENGTHS[index % len(LENGTHS)] for index in range(3 * ROWS)]
    async with bench.raw(folder, "float32", "encoder") as raw, bench.serving(ours(folder, "float32")) as server:
        await warm(server, mixed_text(0))
        before = await scrape(server)
        contenders = [
            Contender("ours", partial(load_texts, server, mixed_text, 2 * ROWS, 2 * bench.seconds), server),
            Contender("by arrival", partial(raw.measure, "encode_in_order", lengths=lengths, rows=ROWS)),
        ]
        turns = await take_turns(contenders, bench.rounds, bench.foreign)
        after = await scrape(server)
    sums, counts = (summed(after, PADDING + part) - summed(before, PADDING + part) for part in ("_sum", "_count"))
    raw_note = "the peer is a raw packed loop in one process, without HTTP"
    note = "; ".join(part for part in (raw_note, turns.note) if part)
    return [
        value_line(TARGETS["padding"], of, [sums / counts] if counts else [], "mean over the batches, from /metrics"),
        ratio_line(
            TARGETS["lengths-fifo"], of, turns.of("ours", "answers"), turns.of("by arrival", "per_second"), note
        ),
    ]
