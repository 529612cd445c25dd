"""Conversation about images: the same text as `generate`, by every way of asking, and clear refusals."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from tests.runtime.server.test_generation import stream
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_visual import data_url, make_llava, picture

pytestmark = pytest.mark.torch

CHAT = "/v1/chat/completions"
Messages = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    with running(folder) as server:
        yield server


@pytest.fixture(scope="module")
def reference(folder: Path) -> Callable[[Messages, int], str]:
    """Return greedy answers as transformers' processor and `generate` make them."""
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)

    def answer(messages: Messages, new: int) -> str:
        inputs = processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        output = model.generate(**inputs, max_new_tokens=new, do_sample=False)
        text: str = processor.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return text

    return answer


def sent(messages: Messages) -> Messages:
    """Return messages as OpenAI's clients send them, from those of transformers."""
    parts = {
        "image": lambda part: {"type": "image_url", "image_url": {"url": data_url(part["image"])}},
        "text": lambda part: part,
    }
    return [{**each, "content": [parts[part["type"]](part) for part in each["content"]]} for each in messages]


def ask(*content: Any) -> Messages:
    """Return a user's message of pictures and texts."""
    parts = [{"type": "text", "text": c} if isinstance(c, str) else {"type": "image", "image": c} for c in content]
    return [{"role": "user", "content": parts}]


def said(text: str) -> Messages:
    """Return an assistant's message."""
    return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]


CONVERSATIONS = [
    ask(picture(1), "what is in the picture"),
    ask("compare", picture(2), "with", picture(3, 64, 48), "please"),
    ask(picture(4), "a fox?") + said("no, a bear") + ask("and here?", picture(5)),
    ask("no picture at all"),
]


def test_greedy_answer_equals_generate_when_batched_with_others(server: RunningServer, reference: Any) -> None:
    jobs = [(messages, 6 + 5 * index) for index, messages in enumerate(CONVERSATIONS * 2)]
    with ThreadPoolExecutor(len(jobs)) as pool:
        answers = list(
            pool.map(lambda job: server.post(CHAT, messages=sent(job[0]), temperature=0, max_tokens=job[1]), jobs)
        )
    for (messages, new), answer in zip(jobs, answers, strict=True):
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == reference(messages, new)


def test_answer_depends_on_the_picture(server: RunningServer, reference: Any) -> None:
    assert len({reference(ask(picture(seed), "what is it"), 12) for seed in range(4)}) > 1


def test_stream_and_choices_share_the_picture(server: RunningServer) -> None:
    body = {"messages": sent(CONVERSATIONS[1]), "max_tokens": 12, "temperature": 1.0, "seed": 3, "n": 2}
    unary = server.post(CHAT, **body).json()
    texts = ["", ""]
    for chunk in stream(server, CHAT, **body):
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == [choice["message"]["content"] for choice in unary["choices"]]
    assert unary["usage"]["prompt_tokens"] > 2 * 16


def test_images_longer_than_one_prefill_are_read_in_chunks(folder: Path, reference: Any) -> None:
    messages = ask(*(picture(seed) for seed in range(12)), "what do they share")
    with running(folder) as server:
        task: Any = server.process.service.task
        task.scheduler._prefill_tokens = 50
        answer = server.post(CHAT, messages=sent(messages), temperature=0, max_tokens=8).json()
    assert answer["choices"][0]["message"]["content"] == reference(messages, 8)


def test_answer_is_that_of_the_chat_when_asked_by_v1_and_v2(server: RunningServer, reference: Any) -> None:
    image = picture(6)
    body = {"instances": [{"image": data_url(image), "prompt": "what is it"}], "parameters": {"max_new_tokens": 9}}
    answer = server.http.post("/v1/models/tiny:predict", json=body)
    assert answer.status_code == 200, answer.text
    expected = reference(ask(image, "what is it"), 9)
    assert answer.json()["predictions"][0]["text"] == expected
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [1], "data": [data]}
        for name, data in (("image", data_url(image)), ("prompt", "what is it"))
    ]
    answer = server.http.post("/v2/models/tiny/infer", json={"inputs": inputs, "parameters": {"max_new_tokens": 9}})
    assert answer.status_code == 200, answer.text
    assert expected in [output["data"][0] for output in answer.json()["outputs"]]


IMAGE_FIELD = "messages.0.content.0.image_url.url"


@pytest.mark.parametrize(
    ("parts", "param", "words"),
    [
        ([{"type": "image_url", "image_url": {"url": "/etc/passwd"}}], IMAGE_FIELD, "paths are never opened"),
        ([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}], IMAGE_FIELD, "never opened"),
        ([{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}], IMAGE_FIELD, "no URLs"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}], IMAGE_FIELD, "not an image"),
        (
            [{"type": "image_url", "image_url": {"url": data_url(picture(1)), "detail": "high"}}],
            "messages.0.content.0.image_url.detail",
            "auto",
        ),
        ([{"type": "text", "text": "an <image> of mine"}], "messages", "stands for an image"),
        ([{"type": "input_audio", "input_audio": {}}], "messages.0.content.0.input_audio", "unknown field"),
        ([{"type": "image_url", "image_url": {"url": data_url(picture(1))}}] * 17, None, "at most 16 images"),
        ([{"type": "text", "text": "the " * 600}], "messages", "context is 512 tokens"),
    ],
)
def test_part_is_refused_naming_the_field_when_it_cannot_be_read(
    server: RunningServer, parts: Any, param: str | None, words: str
) -> None:
    answer = server.post(CHAT, messages=[{"role": "user", "content": parts}])
    error = answer.json()["error"]
    assert (answer.status_code, words in error["message"]) == (400, True), error
    assert param is None or error["param"] == param


def test_pixels_are_bounded_over_all_images_of_a_request(folder: Path) -> None:
    with running(folder, limits={"max_pixels": 2000}) as server:
        one = server.post(CHAT, messages=sent(ask(picture(1))), max_tokens=2)
        two = server.post(CHAT, messages=sent(ask(picture(1), picture(2))), max_tokens=2)
    assert (one.status_code, two.status_code) == (200, 400)
    assert two.json()["error"]["param"] == "messages.0.content.1.image_url.url"


def test_image_is_refused_when_the_model_reads_text_only(decoder_folder: Path) -> None:
    with running(decoder_folder) as server:
        answer = server.post(CHAT, messages=sent(ask(picture(1), "what is it")))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages.0.content"
    assert "reads text only" in answer.json()["error"]["message"]


def test_right_endpoint_is_told_when_completions_are_asked_for(server: RunningServer) -> None:
    answer = server.post("/v1/completions", prompt="a")
    assert answer.status_code == 400
    assert CHAT in answer.json()["error"]["message"]
