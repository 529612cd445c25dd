"""The playground for tasks that read or draw pictures."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, FilePayload, expect

from tests.models import build_model
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


@pytest.mark.parametrize("model", ["demo-detect", "demo-segment", "demo-digits"])
def test_what_is_seen_is_shown_on_the_picture(browser: Browser, model: str) -> None:
    with running(build_model(model)) as server, opened(browser, server) as page:
        page.locator("input[type=file]").set_input_files(picture())
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#numbers")).to_contain_text("latency")
        expect(page.locator(".output")).not_to_contain_text("appears here")
        expect(page.get_by_role("alert")).to_have_count(0)
        take_screens(page, model)


def test_drawing_is_classified_and_explained(browser: Browser) -> None:
    with running(build_model("demo-digits")) as server, opened(browser, server) as page:
        page.get_by_role("button", name="Draw").click()
        board = page.locator("canvas.board").bounding_box()
        assert board is not None
        page.mouse.move(board["x"] + 140, board["y"] + 40)
        page.mouse.down()
        page.mouse.move(board["x"] + 140, board["y"] + 240, steps=8)
        page.mouse.up()
        page.get_by_label("Explain", exact=True).check()
        page.get_by_role("button", name="Run").click()
        expect(page.locator(".bar.first .name")).to_have_text("1")
        expect(page.locator("img.heat")).to_be_visible()
        take_screens(page, "drawing")
