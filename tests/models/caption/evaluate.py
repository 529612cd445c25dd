"""Measures demo-scene through the chat endpoint of a server, on scenes that were held out."""

import base64
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.models.caption.dialogue import CAPTION_QUESTIONS, converse
from tests.models.caption.drawing import draw
from tests.models.caption.judge import is_right
from tests.models.caption.scenes import HELD_OUT, Scene, make_scene

CLIENTS = 8
TURNS = 5
MOST_WORDS = 32

Ask = Callable[[list[dict[str, Any]]], str]


@dataclass(frozen=True)
class Score:
    """Shares of 1: of captions that are right, and of answers to questions that are."""

    captions: float
    answers: float
    scenes: int


def measure_folder(folder: Path, scenes: int) -> Score:
    """Serve the model in a folder and measure it."""
    from tests.runtime.support.server import running  # noqa: PLC0415 - not needed where a server runs already

    with running(folder) as server:

        def ask(messages: list[dict[str, Any]]) -> str:
            answer = server.post("/v1/chat/completions", messages=messages, temperature=0, max_tokens=MOST_WORDS)
            text: str = answer.raise_for_status().json()["choices"][0]["message"]["content"]
            return text

        return measure_scenes(ask, scenes)


def measure_scenes(ask: Ask, scenes: int) -> Score:
    """Ask for a caption and for answers about each of the first held-out scenes; `ask` sends messages."""
    drawn = [make_scene(seed) for seed in HELD_OUT[:scenes]]
    with ThreadPoolExecutor(CLIENTS) as clients:
        captions = list(clients.map(lambda scene: _captions_rightly(ask, scene), drawn))
        answers = [right for each in clients.map(lambda scene: _answers(ask, scene), drawn) for right in each]
    return Score(sum(captions) / len(captions), sum(answers) / len(answers), scenes)


def question(scene: Scene, text: str) -> list[dict[str, Any]]:
    """Return a message with the picture of a scene and a question, as OpenAI's clients send it."""
    buffer = BytesIO()
    draw(scene).save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    image = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [image, *([{"type": "text", "text": text}] if text else [])]}]


def _captions_rightly(ask: Ask, scene: Scene) -> bool:
    """Ask for a caption in one of the usual ways."""
    text = CAPTION_QUESTIONS[scene.seed % len(CAPTION_QUESTIONS)]
    return is_right(ask(question(scene, text)), scene)


def _answers(ask: Ask, scene: Scene) -> list[bool]:
    """Ask a few questions, each in a conversation of its own."""
    turns = converse(scene, random.Random(scene.seed), TURNS)
    return [ask(question(scene, text)).strip() == answer for text, answer in turns if answer != scene.caption]
