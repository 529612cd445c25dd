"""In 8 bits: an encoder against float32 peers and its own labels in float32, a decoder against our own bfloat16."""

from contextlib import AsyncExitStack
from functools import partial

from tests.bench.runtime.areas.encoders import infinity_text, litserve_text, load_texts, our_text
from tests.bench.runtime.areas.generation import load_chat, our_chat, warm
from tests.bench.runtime.bench import Bench
from tests.bench.runtime.contenders import NAME, environment, infinity, litserve, ours
from tests.bench.runtime.figures import Line, median, ratio_line, value_line
from tests.bench.runtime.load import Generator
from tests.bench.runtime.models import model_folder
from tests.bench.runtime.scrape import read_status
from tests.bench.runtime.servers import Command, Server
from tests.bench.runtime.targets import TARGETS
from tests.bench.runtime.turns import Contender, Turns, take_turns
from tests.models.build import package_store
from tests.models.sentiment.reviews import read_reviews

INT8, FLOAT = "int8", "ours"
TEXTS_CLIENTS, CHAT_CLIENTS, TOKENS, AT_ONCE = 32, 8, 64, 32


def in_int8(model: str) -> Command:
    """The runtime in 8 bits; a CPU that cannot serves the weights as they are, which the notes tell."""
    return ours(model_folder(model), "auto", engine_quantization=INT8)


async def measure(bench: Bench) -> list[Line]:
    """Measure encoders, labels and generation."""
    lines: list[Line] = []
    for model in ("bert-98m",) if bench.quick else ("bert-98m", "bert-17m", "demo-sentiment"):
        lines.append(await _measure_encoder(bench, model))
        bench.say(f"  {model}, {TEXTS_CLIENTS} clients: {lines[-1].ratio}")
    lines.append(await _measure_labels(bench))
    for model in ("llama-88m",) if bench.quick else ("llama-88m", "demo-chat"):
        lines.append(await _measure_generation(bench, model))
        bench.say(f"  {model}, {CHAT_CLIENTS} clients: {lines[-1].ratio}")
    return lines


async def _measure_encoder(bench: Bench, model: str) -> Line:
    folder = model_folder(model)
    async with AsyncExitStack() as stack:
        mine = await stack.enter_async_context(bench.serving(in_int8(model)))
        lit = litserve(await environment("litserve"), folder, "float32", "text")
        inf = infinity(await environment("infinity"), folder, "float32")
        makes = {mine: our_text, await stack.enter_async_context(bench.serving(lit)): litserve_text}
        makes[await stack.enter_async_context(bench.serving(inf))] = infinity_text
        for server, make in makes.items():
            await warm(server, make(0))
        contenders = [
            Contender(s.name, partial(load_texts, s, m, TEXTS_CLIENTS, bench.seconds), s) for s, m in makes.items()
        ]
        turns = await take_turns(contenders, bench.rounds, bench.foreign)
        note = _joined(await _computed(mine), turns)
    peers = {name: turns.of(name, "answers") for name in ("LitServe", "Infinity")}
    best = max(peers, key=lambda name: median(peers[name]))
    note = f"the best peer is {best}; {note}"
    return ratio_line(TARGETS["int8-encoder"], model, turns.of(mine.name, "answers"), peers[best], note)


async def _measure_labels(bench: Bench) -> Line:
    """Ask both for the labels of reviews that the model was not trained on."""
    texts = [example.text for example in read_reviews(package_store()).held_out]
    labels = []
    for command in (ours(model_folder("demo-sentiment"), "float32"), in_int8("demo-sentiment")):
        async with bench.serving(command) as server:
            labels.append(await _read_labels(server, texts))
            note = await _computed(server)
    agreeing = sum(one == other for one, other in zip(*labels, strict=True)) / len(texts)
    return value_line(TARGETS["int8-labels"], "demo-sentiment", [agreeing], f"{len(texts)} held-out reviews; {note}")


async def _read_labels(server: Server, texts: list[str]) -> list[str]:
    labels: list[str] = []
    async with Generator(server.base) as generator:
        for at in range(0, len(texts), AT_ONCE):
            answer = await generator.ask("/v1/classify", {"model": NAME, "input": texts[at : at + AT_ONCE]})
            labels += [item["label"] for item in answer["data"]]
    return labels


async def _measure_generation(bench: Bench, model: str) -> Line:
    make = partial(our_chat, max_tokens=TOKENS)
    async with (
        bench.serving(in_int8(model)) as integers,
        bench.serving(ours(model_folder(model), bench.fast_dtype)) as floats,
    ):
        contenders = []
        for name, server in ((INT8, integers), (FLOAT, floats)):
            await warm(server, our_chat(0, max_tokens=4))
            contenders.append(Contender(name, partial(load_chat, server, make, CHAT_CLIENTS, bench.seconds), server))
        turns = await take_turns(contenders, bench.rounds, bench.foreign)
        note = _joined(f"the peer is this runtime in {bench.fast_dtype}; {await _computed(integers)}", turns)
    return ratio_line(TARGETS["int8-generation"], model, turns.of(INT8, "tokens"), turns.of(FLOAT, "tokens"), note)


async def _computed(server: Server) -> str:
    """Tell what a server says that it computes in."""
    model = (await read_status(server))["model"]
    return f"ours: quantization {model['quantization']}, around it {model['dtype']}"


def _joined(note: str, turns: Turns) -> str:
    return "; ".join(part for part in (note, turns.note) if part)
