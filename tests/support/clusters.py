"""Clusters for tests: one of each mode for a whole session, named after the session, and brought down whatever happens.

A test that needs a cluster fails when it cannot have one: it is never skipped.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster import Cluster


@contextmanager
def temporary(name: str, mode: str) -> Iterator[Cluster]:
    """A cluster for the block."""
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
    """A cluster with a real node."""
    with temporary(f"test-node-{os.getpid()}", "node") as cluster:
        yield cluster
