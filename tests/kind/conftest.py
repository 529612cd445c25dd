"""The kind binary: named by the environment variable KIND, else built by the cluster harness."""

from pathlib import Path

import pytest

from tests.chart.tools import tool


@pytest.fixture(scope="session")
def kind() -> Path:
    """The path of the binary; a test that cannot have it fails."""
    return tool("kind")
