"""Fixtures of the fault tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver.conftest import team
from tests.cluster import Cluster
from tests.faults.bench import FaultBench
from tests.support.account import install_account
from tests.support.operators import served_control_plane
from tests.support.team import Team

__all__ = ["bench", "served_control_plane", "team"]


@pytest.fixture(scope="session")
def guarded_control_plane(served_control_plane: Cluster) -> Cluster:
    """The control plane with our CRDs, where the operator has its own account and no more rights than that."""
    install_account(served_control_plane)
    return served_control_plane


@pytest.fixture
def bench(guarded_control_plane: Cluster, tmp_path: Path, team: Team) -> Iterator[FaultBench]:
    """A bench whose replicas end with the test."""
    bench = FaultBench.open(guarded_control_plane, tmp_path, team)
    yield bench
    bench.close()
