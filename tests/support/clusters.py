"""Clusters for tests: one of each mode for a whole session, named after the session, and brought down whatever happens.

A test that needs a cluster fails when it cannot have one: it is never skipped. A session that was killed leaves its
clusters; the next one removes those whose session is gone.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.cluster.providers.local import remove_any
from tests.cluster.state import all_states

_SESSION = re.compile(r"test-[a-z0-9]+-([0-9]+)(?:-[a-z0-9]+)?")


def remove_orphans() -> None:
    """Remove the clusters of test sessions whose process has ended."""
    for state in all_states():
        session = _SESSION.fullmatch(state.name)
        if session and not Path(f"/proc/{session[1]}").exists():
            remove_any(state.name)


@contextmanager
def temporary(name: str, mode: str) -> Iterator[Cluster]:
    """A cluster for the block."""
    remove_orphans()
    cluster = Cluster.up(name, mode)
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """An API server with controllers and scheduler, without anything that runs pods."""
    with temporary(f"test-cp-{os.getpid()}", "control-plane") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def node() -> Iterator[Cluster]:
    """A cluster with a real node; one that runs already, and stays, where MODELSERVICE_TEST_CLUSTER names it."""
    if name := os.environ.get("MODELSERVICE_TEST_CLUSTER"):
        yield Cluster.find(name)
        return
    with temporary(f"test-node-{os.getpid()}", "node") as cluster:
        yield cluster
