"""What operators see: probes under load, an idle CPU after the clients have left, the start, and memory."""

import asyncio
import time
from functools import partial

import aiohttp

from tests.bench.runtime.areas.generation import chat, load_chat, our_chat, warm
from tests.bench.runtime.bench import Bench
from tests.bench.runtime.contenders import environment, ours, transformers_serve
from tests.bench.runtime.figures import Line, gaps, median, percentile, ratio_line, value_line
from tests.bench.runtime.load import Generator
from tests.bench.runtime.machine import Held, read_held
from tests.bench.runtime.models import model_folder
from tests.bench.runtime.servers import Command, Server
from tests.bench.runtime.targets import TARGETS

CLIENTS = 32
PROBE_EVERY, PROBE_TIMEOUT = 0.02, 1.0


async def measure_probes(bench: Bench) -> list[Line]:
    """Ask the probes all the time while 32 clients are served."""
    of = "llama-88m float32, 32 clients"
    async with bench.serving(ours(model_folder("llama-88m"), "float32")) as server:
        await warm(server, our_chat(0, max_tokens=4))
        seconds = 2 * bench.seconds
        load = load_chat(server, partial(our_chat, max_tokens=64), CLIENTS, seconds)
        with bench.foreign.watch():
            _, (took, failed) = await asyncio.gather(load, _probe(server, seconds))
    note = f"{len(took)} probes"
    return [
        value_line(TARGETS["probes"], of, [percentile(took, 0.99) * 1000], note),
        value_line(TARGETS["probe-failures"], of, [failed], note),
    ]


async def _probe(server: Server, seconds: float) -> tuple[list[float], int]:
    took, failed, end = [], 0, time.monotonic() + seconds
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_TIMEOUT)) as session:
        while time.monotonic() < end:
            for path in ("/livez", "/readyz"):
                began = time.monotonic()
                try:
                    async with session.get(server.admin + path) as answer:
                        failed += answer.status != 200
                except (aiohttp.ClientError, TimeoutError):
                    failed += 1
                took.append(time.monotonic() - began)
            await asyncio.sleep(PROBE_EVERY)
    return took, failed


async def measure_cancel(bench: Bench) -> list[Line]:
    """All clients leave in the middle of their streams."""
    beyond = []
    async with bench.serving(ours(model_folder("llama-88m"), "float32")) as server:
        await warm(server, our_chat(0, max_tokens=4))
        for _ in range(bench.rounds):
            async with Generator(server.base) as generator:
                load = await generator.closed(8, partial(our_chat, max_tokens=512), 2.0, 0.5)
                step = median(gaps(load))
                idle = await server.wait_idle()
            beyond.append(max(0.0, idle - step) * 1000)
    note = f"one step took {step * 1000:.0f} ms; the clock of the kernel's CPU accounts has ticks of 10 ms"
    return [value_line(TARGETS["cancel"], "llama-88m float32, 8 clients", beyond, note)]


async def measure_start(bench: Bench) -> list[Line]:
    """Start both servers in turns, from files that the kernel holds in memory since a start that does not count."""
    folder, of = model_folder("llama-88m"), "llama-88m float32"
    programs = await environment("transformers")
    for command in (ours(folder, "float32"), transformers_serve(programs, folder, "float32")):
        await _answered(bench, command)
    up, ready, answered, peer = [], [], [], []
    first = len(bench.foreign.shares)
    for _ in range(bench.rounds):
        with bench.foreign.watch():
            async with bench.starting(ours(folder, "float32")) as server:
                up.append(await server.wait_for(server.admin + "/livez"))
                ready.append(await server.wait_ready())
                await warm(server, our_chat(0, max_tokens=1))
                answered.append(time.monotonic() - server.began)
        with bench.foreign.watch():
            peer.append(await _answered(bench, transformers_serve(programs, folder, "float32")))
    note = bench.foreign.note(first)
    return [
        value_line(TARGETS["http-up"], of, up, note),
        value_line(TARGETS["ready"], of, ready, note),
        ratio_line(TARGETS["ready-peer"], of, answered, peer, note),
    ]


async def _answered(bench: Bench, command: Command) -> float:
    async with bench.starting(command) as server:
        await server.wait_ready()
        await warm(server, chat(0, model=server.model, max_tokens=1))
        return time.monotonic() - server.began


async def measure_memory(bench: Bench) -> list[Line]:
    """Resident memory after 32 clients, less the weights; the KV cache in use counts, so the bound is met early."""
    folder = model_folder("llama-88m")
    async with bench.serving(ours(folder, "float32")) as server:
        await load_chat(server, partial(our_chat, max_tokens=64), CLIENTS, bench.seconds)
        held = read_held(server.pid)
    torch = Held(**await bench.ask("tests.bench.runtime.floor"))
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    resident, own, floor, cuda = (_mb(size) for size in (held.resident, held.own, torch.resident, torch.cuda))
    note = (
        f"resident {resident} MB, of which {own} are no files; weights {_mb(weights)} MB; with the KV "
        f"cache in use; `import torch` alone takes {floor} MB, {cuda} of them CUDA's libraries"
    )
    return [value_line(TARGETS["memory"], "llama-88m float32", [(held.resident - weights) / 1e6], note)]


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f}"
