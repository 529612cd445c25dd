"""What streams do to one another: long prompts among short answers, and prompts that begin alike."""

from functools import partial

from modelservice_runtime.config import Settings
from tests.bench.runtime.areas.generation import our_chat, warm
from tests.bench.runtime.bench import Bench
from tests.bench.runtime.contenders import ours
from tests.bench.runtime.figures import (
    Figures,
    Line,
    first_token_times,
    gaps,
    median,
    missing_line,
    percentile,
    ratio_line,
    tokens_per_second,
)
from tests.bench.runtime.load import Generator, Make, Shot
from tests.bench.runtime.models import model_folder
from tests.bench.runtime.servers import Server
from tests.bench.runtime.targets import TARGETS
from tests.bench.runtime.turns import Contender, take_turns
from tests.bench.runtime.words import text

LENGTHS = (8, 200, 32, 96, 16, 256, 64, 24)
LONG_EVERY, LONG_WORDS = 8, 480
SYSTEM_WORDS = 390
ASKED, ASKED_QUICK = 16, 6
"""Requests of a turn that tells the time to the first token: each long prompt may be computed whole."""
CLIENTS = 16


def mixed_chat(number: int) -> Shot:
    """Answers of 8 to 256 tokens; every eighth prompt has about 512."""
    words = LONG_WORDS if number % LONG_EVERY == 0 else 24
    return our_chat(number, max_tokens=LENGTHS[(number * 3) % len(LENGTHS)], words=words)


async def measure_mixed(bench: Bench) -> list[Line]:
    """Compare mixed with uniform load on one server of ours."""
    folder = model_folder("llama-19m")
    uniform = partial(our_chat, max_tokens=87)
    async with bench.serving(ours(folder, "float32")) as server:
        await warm(server, uniform(0))
        loads: dict[str, Make] = {"uniform": uniform, "mixed": mixed_chat}
        contenders = [
            Contender(name, partial(_load, server, make, CLIENTS, 2 * bench.seconds), server)
            for name, make in loads.items()
        ]
        turns = await take_turns(contenders, bench.rounds, bench.foreign)
    of = f"llama-19m float32, {CLIENTS} clients"
    return [
        ratio_line(TARGETS["mixed-gaps"], of, turns.of("mixed", "p99"), turns.of("mixed", "p50"), turns.note),
        ratio_line(
            TARGETS["mixed-throughput"], of, turns.of("mixed", "tokens"), turns.of("uniform", "tokens"), turns.note
        ),
    ]


async def measure_prefix(bench: Bench) -> list[Line]:
    """Compare the first token with and without reuse of the system prompt's keys and values."""
    engine = Settings.model_fields["engine"].annotation
    if "prefix_cache" not in getattr(engine, "model_fields", {}):
        return [missing_line(TARGETS["prefix"], "the runtime has no setting engine.prefix_cache")]
    folder = model_folder("llama-88m")
    make = partial(our_chat, max_tokens=8, words=12, system=text(SYSTEM_WORDS, 7))
    async with (
        bench.serving(ours(folder, "float32", engine_prefix_cache="true")) as reusing,
        bench.serving(ours(folder, "float32", engine_prefix_cache="false")) as plain,
    ):
        for server in (reusing, plain):
            await warm(server, make(0))
        contenders = [
            Contender(name, partial(_first_token, server, make, ASKED_QUICK if bench.quick else ASKED), server)
            for name, server in (("with", reusing), ("without", plain))
        ]
        turns = await take_turns(contenders, bench.rounds, bench.foreign)
    first, peer = turns.of("with", "first"), turns.of("without", "first")
    return [ratio_line(TARGETS["prefix"], "llama-88m float32, 2 clients", first, peer, turns.note)]


async def _first_token(server: Server, make: Make, count: int) -> Figures:
    async with Generator(server.base) as generator:
        load = await generator.answered(2, make, count)
    return {"first": median(first_token_times(load))}


async def _load(server: Server, make: Make, clients: int, seconds: float) -> Figures:
    async with Generator(server.base) as generator:
        load = await generator.closed(clients, make, seconds, 0.5)
    between = gaps(load)
    return {
        "tokens": tokens_per_second(load),
        "p50": percentile(between, 0.5),
        "p99": percentile(between, 0.99),
    }
