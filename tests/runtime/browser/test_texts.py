"""The playground for tasks that read texts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.matrix.support.text_encoders import make_text_encoder
from tests.models import build_model
from tests.runtime.browser.chromium import opened, take_screens
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_models import make_decoder

pytestmark = pytest.mark.torch

NLI = {0: "entailment", 1: "neutral", 2: "contradiction"}


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(make_decoder(tmp_path_factory.mktemp("decoder"))) as server:
        yield server


def numbers(page: Page) -> str:
    expect(page.locator("#numbers")).to_contain_text("latency")
    return page.locator("#numbers").inner_text()


def test_chat_streams_an_answer_and_shows_its_speed_and_code(browser: Browser, chat: RunningServer) -> None:
    with opened(browser, chat) as page:
        page.get_by_text("Options").click()
        page.get_by_label("Tokens at most").fill("24")
        page.get_by_label("Message").fill("Say something")
        page.keyboard.press("Enter")
        assert "tokens" in numbers(page)
        expect(page.locator(".bubble")).to_have_count(2)
        expect(page.locator(".bubble.assistant .said")).not_to_be_empty()
        expect(page.locator("#code")).to_contain_text("curl -sS")
        page.keyboard.press("Tab")
        page.get_by_role("tab", name="Python").click()
        expect(page.locator("#code")).to_contain_text("from openai import OpenAI")
        compile(page.locator("#code").inner_text(), "snippet", "exec")
        page.get_by_label("Message").fill("And more")
        page.keyboard.press("Enter")
        expect(page.locator(".bubble")).to_have_count(4)
        numbers(page)
        take_screens(page, "chat")


def test_chat_stops_when_the_button_is_pressed(browser: Browser, tmp_path: Path) -> None:
    with running(make_decoder(tmp_path, context=4096)) as server, opened(browser, server) as page:
        page.get_by_text("Options").click()
        page.get_by_label("Tokens at most").fill("3900")
        page.get_by_label("Temperature").fill("0")
        page.get_by_label("Message").fill("Say something long")
        page.get_by_role("button", name="Send").click()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Send")).to_be_visible()
        expect(page.locator("#numbers")).to_contain_text("after")


def test_refusal_is_shown_where_the_answer_would_be(browser: Browser, chat: RunningServer) -> None:
    with opened(browser, chat) as page:
        page.get_by_text("Options").click()
        page.get_by_label("Tokens at most").fill("4000")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("alert")).to_contain_text("max_tokens")


def test_prompt_is_continued_when_the_model_has_no_template(browser: Browser, tmp_path: Path) -> None:
    with running(make_decoder(tmp_path, chat=False)) as server, opened(browser, server) as page:
        page.get_by_label("Prompt").fill("the quick brown")
        page.get_by_role("button", name="Continue").click()
        assert "tokens/s" in numbers(page)
        expect(page.locator(".given")).to_have_text("the quick brown")
        expect(page.locator(".made")).not_to_be_empty()
        take_screens(page, "completion")


def test_labels_are_bars_and_words_are_coloured_when_explained(browser: Browser) -> None:
    with running(build_model("demo-sentiment")) as server, opened(browser, server) as page:
        page.get_by_label("Text").fill("The food was cold, but the staff were wonderful and the view is superb.")
        page.get_by_label("Explain", exact=True).check()
        page.get_by_role("button", name="Run").click()
        expect(page.locator(".bar.first .name")).to_have_text("POSITIVE")
        expect(page.locator(".explanation .share")).not_to_have_count(0)
        tones = page.locator(".reading .share").evaluate_all("all => all.map(e => getComputedStyle(e).backgroundColor)")
        assert len(set(tones)) > 3
        assert "explanation" in numbers(page)
        take_screens(page, "classification")


def test_sentences_are_compared_in_a_matrix(browser: Browser) -> None:
    with running(build_model("demo-embed")) as server, opened(browser, server) as page:
        page.get_by_role("button", name="Compare").click()
        cells = page.locator(".matrix td.share").all_inner_texts() if numbers(page) else []
        values = [float(cell) for cell in cells]
        assert len(values) == 16
        assert [values[0], values[5]] == [1.0, 1.0]
        assert values[1] > values[2]
        take_screens(page, "similarity")


def test_api_is_described_without_a_network(browser: Browser, chat: RunningServer) -> None:
    with opened(browser, chat, "/docs") as page:
        operation = page.locator(".opblock", has_text="/v1/chat/completions").first
        expect(operation).to_be_visible()
        operation.click()
        take_screens(page, "docs")


def test_entities_are_marked_in_their_text_and_explained(browser: Browser) -> None:
    with running(build_model("demo-ner")) as server, opened(browser, server) as page:
        page.get_by_label("Text").fill("Ada Bright met Carlos Silva of Nordwind Logistics in Lisbon.")
        page.get_by_label("Explain", exact=True).check()
        page.get_by_role("button", name="Run").click()
        expect(page.locator(".reading mark").first).to_be_visible()
        expect(page.locator(".explanation h2")).to_contain_text("for “")
        numbers(page)
        take_screens(page, "entities")


@pytest.mark.parametrize(
    ("head", "task", "labels", "shown"),
    [
        ("ForMaskedLM", "auto", {}, ".bar"),
        ("ForQuestionAnswering", "auto", {}, ".reading"),
        ("ForSequenceClassification", "rerank", {"num_labels": 1}, ".ranked"),
        ("ForSequenceClassification", "zero-shot-classification", {"id2label": NLI}, ".bar"),
    ],
)
def test_example_of_a_task_is_answered(
    browser: Browser, tmp_path: Path, head: str, task: str, labels: dict[str, Any], shown: str
) -> None:
    folder = make_text_encoder(tmp_path, "bert", head, **labels)
    with running(folder, task=task) as server, opened(browser, server) as page:
        page.get_by_role("button", name="Run").click()
        numbers(page)
        expect(page.locator(shown).first).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        take_screens(page, f"{head}-{task}")
