"""Speech, images and pictures: each against servers of the same model, or against the loop that people write first."""

import base64
import io
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import cache, partial

import numpy as np
from PIL import Image

from tests.bench.runtime.areas.encoders import load_texts
from tests.bench.runtime.areas.generation import warm
from tests.bench.runtime.bench import Bench
from tests.bench.runtime.contenders import NAME, environment, litserve, ours, transformers_serve
from tests.bench.runtime.figures import Figures, Line, answers_per_second, median, ratio_line
from tests.bench.runtime.load import Generator, Make, Shot, form_shot, json_shot
from tests.bench.runtime.models import model_folder
from tests.bench.runtime.servers import Command, Server
from tests.bench.runtime.targets import TARGETS
from tests.bench.runtime.turns import Contender, Turns, take_turns
from tests.models.speech.sentences import HELD_OUT
from tests.models.speech.synthesis import Utterance, samples_of, speak, to_file

Measure = Callable[[Server, Make], Awaitable[Figures]]
"""Loads one server with requests of one kind."""

RATE = 16_000
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb-x-rp+m5")
PICTURES, WIDTH, HEIGHT = 16, 400, 300
SPEAKERS, VIEWERS, PAINTERS = 8, 16, 4
SPOKEN, SPOKEN_QUICK = 48, 16
"""Recordings of a turn. Each costs as much as a text of some thousand tokens, and those that share a batch end about
together, so a turn ends with the last answer instead of at a moment at which many may be half done."""
STEPS = 10
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@cache
def recordings() -> list[bytes]:
    """Return the held-out sentences, spoken, as WAV files of two to four seconds."""
    return [
        to_file(samples_of(speak(Utterance(sentence, VOICES[place % len(VOICES)], 150, 50)), RATE), RATE)
        for place, sentence in enumerate(HELD_OUT)
    ]


def speech_form(number: int, model: str) -> Shot:
    """Make a request to write a recording down, as OpenAI defines it."""
    spoken = recordings()
    return form_shot("/v1/audio/transcriptions", {"model": model}, spoken[number % len(spoken)])


def litserve_speech(number: int) -> Shot:
    """The same for LitServe."""
    spoken = recordings()
    return json_shot("/predict", {"audio": base64.b64encode(spoken[number % len(spoken)]).decode()})


@cache
def photographs() -> list[str]:
    """Return drawn pictures as JPEG files in base64: soft colours under grain, which decode as photos do."""
    return [_photograph(seed) for seed in range(PICTURES)]


def _photograph(seed: int) -> str:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        (WIDTH, HEIGHT), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 8, (HEIGHT, WIDTH, 3))
    pixels = np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return base64.b64encode(buffer.getvalue()).decode()


def our_image(number: int) -> Shot:
    """Make a request to classify a picture."""
    return json_shot("/v1/classify", {"model": NAME, "input": [{"image": photographs()[number % PICTURES]}]})


def litserve_image(number: int) -> Shot:
    """The same for LitServe."""
    return json_shot("/predict", {"image": photographs()[number % PICTURES]})


def our_drawing(number: int) -> Shot:
    """Make a request to draw a digit."""
    prompt = f"a {random.Random(number).choice(DIGITS)}"
    body = {"model": NAME, "prompt": prompt, "seed": number, "num_inference_steps": STEPS}
    return json_shot("/v1/images/generations", body)


async def measure_speech(bench: Bench) -> list[Line]:
    """Short recordings by several clients, against both servers that can write them down."""
    folder, dtype = model_folder("demo-whisper"), "float32"
    theirs = partial(speech_form, model=str(folder))
    peers: list[tuple[Command, Make]] = [
        (transformers_serve(await environment("transformers"), folder, dtype, batching=False), theirs),
        (litserve(await environment("litserve"), folder, dtype, "speech"), litserve_speech),
    ]
    mine = ours(folder, dtype), partial(speech_form, model=NAME)
    measure = partial(load_speech, count=SPOKEN_QUICK if bench.quick else SPOKEN)
    turns = await _compare(bench, [mine, *peers], measure)
    of = f"demo-whisper {dtype}, {SPEAKERS} clients"
    return [_best_line("speech", of, turns, [command.name for command, _ in peers])]


async def measure_images(bench: Bench) -> list[Line]:
    """Pictures to classify, against LitServe."""
    folder, lines = model_folder("vit-22m"), []
    programs = await environment("litserve")
    for dtype in dict.fromkeys(["float32"] if bench.quick else ["float32", bench.fast_dtype]):
        contenders = [(ours(folder, dtype), our_image), (litserve(programs, folder, dtype, "image"), litserve_image)]
        measure = partial(load_texts, clients=VIEWERS, seconds=3 * bench.seconds)
        turns = await _compare(bench, contenders, measure)
        lines.append(_best_line("image", f"vit-22m {dtype}", turns, ["LitServe"]))
    return lines


async def measure_pictures(bench: Bench) -> list[Line]:
    """Pictures drawn for several clients, against a loop over the pipeline of diffusers, one after the other."""
    folder, dtype = model_folder("demo-image"), "float32"
    async with bench.raw(folder, dtype, "pipeline") as raw, bench.serving(ours(folder, dtype)) as server:
        await warm(server, our_drawing(0))
        contenders = [
            Contender("ours", partial(load_texts, server, our_drawing, PAINTERS, 2 * bench.seconds), server),
            Contender("raw", partial(raw.measure, "draw", steps=STEPS, seconds=bench.seconds)),
        ]
        turns = await take_turns(contenders, bench.rounds, bench.foreign)
    mine, peer = turns.of("ours", "answers"), turns.of("raw", "per_second")
    return [ratio_line(TARGETS["pictures"], f"demo-image {dtype}, {STEPS} steps", mine, peer, turns.note)]


async def load_speech(server: Server, make: Make, count: int) -> Figures:
    """Have several clients send recordings until all of them are written down."""
    async with Generator(server.base) as generator:
        load = await generator.answered(SPEAKERS, make, count)
    return {"answers": answers_per_second(load)}


async def _compare(bench: Bench, contenders: Sequence[tuple[Command, Make]], measure: Measure) -> Turns:
    """Start the servers and load them in turns."""
    async with AsyncExitStack() as stack:
        makes: dict[Server, Make] = {}
        for command, make in contenders:
            server = await stack.enter_async_context(bench.serving(command))
            await warm(server, make(0))
            makes[server] = make
        turns = [Contender(server.name, partial(measure, server, make), server) for server, make in makes.items()]
        return await take_turns(turns, bench.rounds, bench.foreign)


def _best_line(target: str, of: str, turns: Turns, peers: Sequence[str]) -> Line:
    """Compare with the fastest of the peers, and name all of them."""
    measured = {name: turns.of(name, "answers") for name in peers}
    best = max(peers, key=lambda name: median(measured[name]))
    others = ", ".join(f"{name} {median(values):.2f}" for name, values in measured.items())
    note = "; ".join(part for part in (f"the best peer is {best} ({others})", turns.note) if part)
    return ratio_line(TARGETS[target], of, turns.of("ours", "answers"), measured[best], note)
