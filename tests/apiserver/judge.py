"""Fixtures that ask a real API server for its verdict."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver.client import DryRunClient

CRDS = Path(__file__).resolve().parents[2] / "crds"


@pytest.fixture(scope="session")
def served(control_plane):
    """The control plane, with both kinds served."""
    control_plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
    return control_plane


@pytest.fixture(scope="session")
def judge(served) -> Iterator[DryRunClient]:
    client = DryRunClient(served.kubeconfig)
    yield client
    client.close()
