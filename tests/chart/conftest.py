"""Helm, and a function that renders the chart."""

from pathlib import Path

import pytest

from tests.chart.rendering import Chart
from tests.chart.tools import ROOT, tool

CHART = ROOT / "charts" / "modelservice"


@pytest.fixture(scope="session")
def helm() -> Path:
    """The path of the binary; a test that cannot have it fails."""
    return tool("helm")


@pytest.fixture(scope="session")
def chart(helm: Path) -> Chart:
    """The chart, ready to be rendered."""
    return Chart(helm, CHART)
