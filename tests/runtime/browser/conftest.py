"""One browser for all tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.runtime.browser.chromium import chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running
