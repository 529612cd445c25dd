"""Captioners and visual chat models say what `generate` says, of several images at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from tests.matrix.support.captioners import CAPTIONERS, CHATTERS
from tests.runtime.server.test_generation import stream
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_visual import data_url, picture

pytestmark = pytest.mark.torch

CHAT = "/v1/chat/completions"
NEW_TOKENS = 20
PROMPTS = ["", "the quick", "a server", "", "red, blue", "the"]
IMAGES = [picture(seed, 40 + 20 * seed, 64) for seed in range(6)]


@torch.inference_mode()
def captions(folder: Path) -> list[str]:
    """The continuations of the prompts by transformers' greedy `generate`, one image at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    name = "decoder_input_ids" if model.config.model_type == "vision-encoder-decoder" else "input_ids"
    texts = []
    for image, prompt in zip(IMAGES, PROMPTS, strict=True):
        ids = [0, *tokenizer(prompt)["input_ids"]]
        asked = [*ids, 3] if model.config.model_type == "blip" else ids  # BLIP drops the last one
        pixels = processor(images=image, return_tensors="pt")["pixel_values"]
        output = model.generate(
            pixel_values=pixels, **{name: torch.tensor([asked])}, max_new_tokens=NEW_TOKENS, do_sample=False
        )
        texts.append(tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True))
    return texts


@torch.inference_mode()
def answers(folder: Path) -> list[str]:
    """The answers to the prompts by transformers' processor and greedy `generate`, one image at a time."""
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    texts = []
    for image, prompt in zip(IMAGES, PROMPTS, strict=True):
        content = [{"type": "image", "image": image}, *([{"type": "text", "text": prompt}] if prompt else [])]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        output = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
        texts.append(processor.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return texts


def ask(image: Image.Image, prompt: str) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": prompt}] if prompt else []
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": data_url(image)}}, *text]}]


def say(server: RunningServer, image: Image.Image, prompt: str) -> str:
    answer = server.post(CHAT, messages=ask(image, prompt), temperature=0, max_tokens=NEW_TOKENS)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


def check(folder: Path, task: str, expected: list[str]) -> None:
    assert len(set(expected)) > 2, "the images and prompts make no difference"
    with running(folder) as server:
        assert server.admin.get("/status").json()["model"]["task"] == task
        with ThreadPoolExecutor(len(IMAGES)) as clients:
            said = list(clients.map(lambda pair: say(server, *pair), zip(IMAGES, PROMPTS, strict=True)))
        instances = [{"image": data_url(image), "prompt": p} for image, p in zip(IMAGES, PROMPTS, strict=True)]
        predicted = server.http.post(
            "/v1/models/tiny:predict", json={"instances": instances, "parameters": {"max_new_tokens": NEW_TOKENS}}
        ).json()
        chunks = stream(server, CHAT, messages=ask(IMAGES[1], PROMPTS[1]), temperature=0, max_tokens=NEW_TOKENS)
    assert said == expected
    assert [prediction["text"] for prediction in predicted["predictions"]] == expected
    assert "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]) == expected[1]


@pytest.mark.parametrize("family", CAPTIONERS)
def test_captions_are_those_of_generate_when_many_ask_at_once(family: str, tmp_path: Path) -> None:
    folder = CAPTIONERS[family](tmp_path)
    check(folder, "image-to-text", captions(folder))


@pytest.mark.parametrize("family", CHATTERS)
def test_answers_are_those_of_generate_when_many_ask_at_once(family: str, tmp_path: Path) -> None:
    folder = CHATTERS[family](tmp_path)
    check(folder, "image-text-to-text", answers(folder))


IMAGE_PART = ask(IMAGES[0], "")[0]["content"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda messages: [{"role": "user", "content": "what is it"}], "one image"),
        (lambda messages: messages * 2, "one user message"),
        (lambda messages: [{"role": "user", "content": [IMAGE_PART, IMAGE_PART]}], "one image"),
        (lambda messages: ask(IMAGES[0], "the " * 70), "context is 64 tokens"),
    ],
)
def test_conversation_is_refused_when_it_is_no_caption(
    captioner: RunningServer, change: Callable[[Any], Any], words: str
) -> None:
    answer = captioner.post(CHAT, messages=change(ask(IMAGES[0], "")))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages"), answer.text
    assert words in answer.json()["error"]["message"]


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running(CAPTIONERS["git"](tmp_path_factory.mktemp("git"))) as server:
        yield server
