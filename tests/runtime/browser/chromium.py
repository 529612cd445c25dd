"""A real, headless Chromium over a real server: what a person does on the page, and what the page may not do.

Every request that the page sends to another host, every complaint on its console and every violation of its content
security policy fails the test. Screenshots go to `build/screens`, for people to look at.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.cluster.packages import Need, ensure
from tests.runtime.support.server import RunningServer

CHROMIUM = Need("/usr/bin/chromium", "chromium fonts-dejavu-core", "shows the pages of the model server")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
SCREENS = Path(__file__).resolve().parents[3] / "build" / "screens"
DESKTOP = {"width": 1200, "height": 820}
PHONE = {"width": 390, "height": 844}
SECONDS = 20_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, installing it first where it is missing."""
    ensure([CHROMIUM])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM.program, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, server: RunningServer, path: str = "/playground", **context: Any) -> Iterator[Page]:
    """Open a page of a server for a block, and hold it to the rules of the module's text."""
    origin = f"http://127.0.0.1:{server.port}"
    complaints: list[str] = []
    surroundings = browser.new_context(viewport=context.pop("viewport", DESKTOP), **context)  # type: ignore[arg-type]
    page = surroundings.new_page()
    page.set_default_timeout(SECONDS)
    page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: None if _is_own(request.url, origin) else complaints.append(request.url))
    try:
        page.goto(origin + path)
        page.wait_for_selector("body[data-ready]")
        yield page
        assert complaints == []
    finally:
        surroundings.close()


def _is_complaint(message: ConsoleMessage) -> bool:
    """Tell whether the console holds a mistake of the page; that a request was refused is none."""
    return message.type == "error" and "the server responded with a status of 400" not in message.text


def _is_own(url: str, origin: str) -> bool:
    return url.startswith((origin, "data:", f"blob:{origin}"))


def take_screens(page: Page, name: str) -> None:
    """Keep how a page looks: light, dark, and as wide as a phone."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.screenshot(path=SCREENS / f"{name}-{scheme}.png", full_page=True)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page is wider than a phone"
    page.screenshot(path=SCREENS / f"{name}-phone.png", full_page=True)
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
