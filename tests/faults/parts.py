"""Taking parts of the control plane away from everybody, and giving them back."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import Cluster, controlplane, process
from tests.cluster.state import State, load_state
from tests.support.polling import wait_until


@contextmanager
def without(cluster: Cluster, *names: str) -> Iterator[None]:
    """The named processes are killed for the block, then start again; returns when the API server is ready."""
    state = _state_of(cluster)
    for name in names:
        _signal(state, name, signal.SIGKILL)
        wait_until(lambda name=name: not _alive(state, name), f"{name} is gone")  # type: ignore[misc]
    try:
        yield
    finally:
        for name in names:
            controlplane.start_part(state, cluster.bin, name)
        _await_ready(state)


@contextmanager
def frozen(cluster: Cluster, name: str) -> Iterator[None]:
    """A process of the control plane stands still for the block."""
    state = _state_of(cluster)
    _signal(state, name, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(state, name, signal.SIGCONT)
        _await_ready(state)


def _state_of(cluster: Cluster) -> State:
    state = load_state(cluster.name)
    assert state is not None, f"{cluster.name} is no cluster of processes"
    return state


def _await_ready(state: State) -> None:
    probe = controlplane.ApiProbe(state)
    wait_until(lambda: probe.answers("/readyz"), "the API server is ready", 60)


def _signal(state: State, name: str, number: int) -> None:
    os.kill(next(child.pid for child in state.children if child.name == name), number)


def _alive(state: State, name: str) -> bool:
    return any(child.name == name and process.is_alive(child) for child in state.children)
