"""One browser for all tests of this folder; its event loop would be in the way of asynchronous tests elsewhere."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.runtime.browser.chromium import chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running
