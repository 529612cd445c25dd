"""Chat, streamed, by 1, 8 and 32 clients: against `transformers serve` with continuous batching and the raw loop."""

from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from tests.bench.runtime.bench import Bench
from tests.bench.runtime.contenders import NAME, environment, ours, transformers_serve
from tests.bench.runtime.figures import Figures, Line, first_token_times, median, ratio_line, tokens_per_second
from tests.bench.runtime.load import Generator, Make, Shot, json_shot
from tests.bench.runtime.models import model_folder
from tests.bench.runtime.servers import Server
from tests.bench.runtime.targets import TARGETS
from tests.bench.runtime.turns import Contender, Turns, take_turns
from tests.bench.runtime.words import text

CLIENTS = (1, 8, 32)
PROMPT_WORDS = 24
OURS, PEER, RAW = "ours", "transformers serve", "raw packed loop"


def chat(
    number: int, *, model: str, max_tokens: int, words: int = PROMPT_WORDS, system: str = "", **options: Any
) -> Shot:
    """Make a streamed chat request; every number asks something else."""
    messages = [{"role": "user", "content": text(words, number)}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    body = {"model": model, "messages": messages, "max_tokens": max_tokens, "stream": True, **options}
    return json_shot("/v1/chat/completions", body)


def our_chat(number: int, **options: Any) -> Shot:
    """The same for the runtime, which samples unless told not to, and counts tokens when asked to."""
    return chat(number, model=NAME, temperature=0, stream_options={"include_usage": True}, **options)


def workloads(bench: Bench) -> list[tuple[str, str, int]]:
    """Models, dtypes, and tokens of an answer."""
    first = [("llama-19m", "float32", 64)]
    if bench.quick:
        return first
    rest = [("llama-19m", bench.fast_dtype, 64), ("llama-88m", bench.fast_dtype, 64), ("demo-chat", "bfloat16", 64)]
    return list(dict.fromkeys(first + rest))


async def measure(bench: Bench) -> list[Line]:
    """Measure every workload."""
    lines: list[Line] = []
    for model, dtype, tokens in workloads(bench):
        lines += await _measure(bench, model, dtype, tokens)
    return lines


async def _measure(bench: Bench, model: str, dtype: str, tokens: int) -> list[Line]:
    folder = model_folder(model)
    programs = await environment("transformers")
    lines: list[Line] = []
    async with AsyncExitStack() as stack:
        raw = await stack.enter_async_context(bench.raw(folder, dtype, "decoder"))
        mine = await stack.enter_async_context(bench.serving(ours(folder, dtype)))
        peer = await stack.enter_async_context(bench.serving(transformers_serve(programs, folder, dtype)))
        peer_chat = partial(chat, model=peer.model)
        await warm(mine, our_chat(0, max_tokens=4))
        await warm(peer, peer_chat(0, max_tokens=4))
        for clients in CLIENTS:
            contenders = [
                Contender(
                    OURS, partial(load_chat, mine, partial(our_chat, max_tokens=tokens), clients, bench.seconds), mine
                ),
                Contender(
                    PEER, partial(load_chat, peer, partial(peer_chat, max_tokens=tokens), clients, bench.seconds), peer
                ),
                Contender(RAW, partial(raw.measure, "decode", rows=clients, words=PROMPT_WORDS, steps=tokens)),
            ]
            turns = await take_turns(contenders, bench.rounds, bench.foreign)
            lines += _lines(turns, clients, f"{model} {dtype}")
            bench.say(f"  {model} {dtype}, {clients} clients: {lines[-1].name}: {lines[-1].ratio}")
    return lines


async def warm(server: Server, shot: Shot) -> None:
    """Send one request that does not count. Raises RuntimeError when it is not answered."""
    async with Generator(server.base) as generator:
        outcome = await generator.send(shot)
    if outcome.status != 200:
        raise RuntimeError(f"{server.name} answered {shot.path} with {outcome.status}")


async def load_chat(server: Server, make: Make, clients: int, seconds: float, warm: float = 0.5) -> Figures:
    """Load a server with chat for a while."""
    async with Generator(server.base) as generator:
        load = await generator.closed(clients, make, seconds, warm)
    return {"tokens": tokens_per_second(load), "first": median(first_token_times(load))}


def _lines(turns: Turns, clients: int, of: str) -> list[Line]:
    tokens, peer = turns.of(OURS, "tokens"), turns.of(PEER, "tokens")
    lines = [ratio_line(TARGETS[f"generation-{clients}"], of, tokens, peer, turns.note)]
    if clients == max(CLIENTS):
        ceiling = turns.of(RAW, "per_second")
        lines.append(ratio_line(TARGETS["generation-32-raw"], of, tokens, ceiling, turns.note))
        first, peer_first = turns.of(OURS, "first"), turns.of(PEER, "first")
        lines.append(ratio_line(TARGETS["first-token-32"], of, first, peer_first, turns.note))
    return lines
