"""The playground for tasks that read or draw pictures."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, FilePayload, expect

from tests.runtime.browser.chromium import opened, take_screens
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_pipelines import make_stable_diffusion
from tests.runtime.support.tiny_visual import make_llava

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(make_llava(tmp_path_factory.mktemp("llava"))) as server:
        yield server


def picture() -> FilePayload:
    image = Image.new("RGB", (160, 120), "#222233")
    pen = ImageDraw.Draw(image)
    pen.ellipse((10, 20, 60, 70), fill="#dd3333")
    pen.rectangle((90, 50, 140, 100), fill="#33bb33")
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return {"name": "shapes.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def test_picture_is_talked_about(browser: Browser, seeing: RunningServer) -> None:
    with opened(browser, seeing) as page:
        page.locator("input[type=file]").set_input_files(picture())
        expect(page.locator(".preview")).to_be_visible()
        page.get_by_text("Options").click()
        page.get_by_label("Tokens at most").fill("8")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#numbers")).to_contain_text("tokens")
        expect(page.locator(".bubble.user img")).to_be_visible()
        expect(page.locator(".bubble.assistant .said")).not_to_be_empty()
        expect(page.locator("#code")).to_contain_text("base64 -w0 picture.png")
        take_screens(page, "visual-chat")


def test_pictures_are_drawn_with_their_progress(browser: Browser, tmp_path: Path) -> None:
    with running(make_stable_diffusion(tmp_path, "DDIMScheduler")) as server, opened(browser, server) as page:
        page.get_by_label("Prompt").fill("a red fox")
        page.get_by_label("Pictures").fill("2")
        page.get_by_label("Steps").fill("6")
        page.get_by_label("Seed").fill("7")
        page.get_by_role("button", name="Draw").click()
        expect(page.locator("#numbers")).to_contain_text("steps 6")
        expect(page.locator("img.drawn")).to_have_count(2)
        expect(page.locator("figcaption")).to_have_text(["seed 7", "seed 8"])
        take_screens(page, "text-to-image")
