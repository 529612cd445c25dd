"""The state file, and what is done with processes that it names."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import cleanup, process
from tests.cluster.errors import ClusterError, ProcessDiedError
from tests.cluster.state import Child, State, all_states, check_name, clusters_root, load_state, locked

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    monkeypatch.setenv("MODELSERVICE_CACHE", str(tmp_path))
    made = State(name="t", mode="control-plane", slot=200, ports={"api": 1}, token=str(tmp_path / "clusters" / "t"))
    made.save()
    yield made
    process.stop_all(made)


def test_state_is_the_same_when_read_back(state: State) -> None:
    state.add_child(Child("etcd", 1, 2))
    assert load_state("t") == state
    assert [each.name for each in all_states()] == ["t"]


def test_state_is_none_when_the_file_is_torn(state: State) -> None:
    (state.folder / "state.json").write_text('{"name": "t"')
    assert load_state("t") is None


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a" * 33, "a/b", ".."])
def test_name_is_refused_when_it_cannot_be_a_folder_and_a_link(name: str) -> None:
    with pytest.raises(ClusterError, match="cannot name a cluster"):
        check_name(name)


def test_stranger_is_spared_when_it_has_a_recycled_id(state: State) -> None:
    with subprocess.Popen(SLEEP) as stranger:
        state.add_child(Child("etcd", stranger.pid, (process.started_at(stranger.pid) or 0) - 1))
        process.stop_all(state)
        assert stranger.poll() is None
        stranger.kill()


def test_process_is_killed_when_it_was_never_recorded(state: State) -> None:
    child = process.start(state, "etcd", SLEEP)
    state.children = []
    state.save()
    process.stop_all(state)
    assert not process.is_alive(child)


def test_error_has_the_end_of_the_log_when_a_process_dies(state: State) -> None:
    process.start(state, "etcd", [sys.executable, "-c", "print('no space left on device')"])
    with pytest.raises(ProcessDiedError, match="no space left on device"):
        process.wait_until(state, "etcd", lambda: False, timeout=20)


def test_error_has_the_end_of_the_log_when_a_process_is_late(state: State) -> None:
    process.start(state, "etcd", [sys.executable, "-uc", "print('still thinking'); import time; time.sleep(60)"])
    process.wait_until(state, "words", lambda: process.log_file(state, "etcd").stat().st_size > 0, timeout=20)
    with pytest.raises(ClusterError, match=r"not ready after 0 s(.|\n)*still thinking"):
        process.wait_until(state, "etcd", lambda: False, timeout=0.1, logs=["etcd"])


def test_nothing_is_left_when_a_torn_cluster_is_removed(state: State) -> None:
    process.start(state, "etcd", SLEEP)
    (state.folder / "state.json").write_text("{")
    cleanup.remove("t")
    assert process.marked(state.token) == []
    assert not (clusters_root() / "t").exists()


def test_lock_is_refused_when_another_process_holds_it(state: State) -> None:
    with locked("x"), pytest.raises(ClusterError, match="held by another process"), locked("x", timeout=0.2):
        pass
