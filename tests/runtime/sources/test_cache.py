"""A cache that pods share: one download, whoever comes, and nothing removed that somebody uses."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelservice_runtime.errors import BadSettings, ModelNotFound
from modelservice_runtime.sources.cache import Entry, collect, fetch_cached
from modelservice_runtime.sources.fetch import FetchRequest, FetchResult
from modelservice_runtime.sources.retry import Retry
from tests.runtime.sources.folders import make_model
from tests.support.hub import Hub
from tests.support.polling import wait_until

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    make_model(tmp_path / "hub/acme/chat", parameters=300_000)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with Hub(tmp_path / "hub") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def fetch(root: Path, user: str, key: str = "k1", repository: str = "acme/chat") -> FetchResult:
    request = FetchRequest(f"hf://{repository}", root / "models" / key, retry=Retry(attempts=2, base=0.01))
    return fetch_cached(request, user)


def downloads(hub: Hub) -> int:
    """How many times the weights were sent."""
    return sum(request.startswith("GET") and request.endswith("/model.safetensors") for request in hub.requests)


def test_weights_are_sent_once_when_four_pods_start_together(hub: Hub, root: Path) -> None:
    before = FetchRequest("hf://acme/chat", root / "alone")
    fetch_cached(FetchRequest(before.uri, root / "models" / "other"), "alone")
    alone = downloads(hub)
    hub.requests.clear()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda user: fetch(root, user), ["a", "a", "b", "b"]))
    assert downloads(hub) == alone
    assert {result.card.parameters for result in results} == {300_000}
    assert Entry(root, "k1").users() == ["a", "b"]


def test_model_is_taken_without_asking_its_source_when_it_is_in_the_cache(hub: Hub, root: Path) -> None:
    first = fetch(root, "a")
    hub.requests.clear()
    second = fetch(root, "b")
    assert hub.requests == []
    assert second.card == first.card
    assert second.download_seconds == 0


def test_model_is_fetched_again_when_a_file_is_damaged(hub: Hub, root: Path) -> None:
    fetch(root, "a")
    (root / "models/k1/model.safetensors").write_bytes(b"cut")
    assert fetch(root, "b").card.parameters == 300_000


def test_next_pod_goes_on_when_the_one_that_fetched_has_failed(hub: Hub, root: Path) -> None:
    with pytest.raises(ModelNotFound):
        fetch(root, "a", repository="acme/nowhere")
    assert fetch(root, "a").card.parameters == 300_000


def test_next_pod_goes_on_when_the_one_that_held_the_lock_was_killed(hub: Hub, root: Path) -> None:
    lock = root / "locks" / "k1"
    lock.parent.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(fetch, root, "a")
            wait_until(waiting.running, "the fetch has begun", 10)
            assert not (root / "users").exists()
            holder.kill()
            assert waiting.result(30).card.parameters == 300_000


def test_only_what_nobody_else_uses_is_removed(hub: Hub, root: Path) -> None:
    for user, key in (("a", "k1"), ("a", "k2"), ("b", "k1")):
        fetch(root, user, key)
    folders, size = collect(root, "a")
    assert folders == 1
    assert size > 1_200_000
    assert sorted(os.listdir(root / "models")) == ["k1"]
    assert collect(root, "a") == (0, 0)
    assert collect(root, "b")[0] == 1
    assert os.listdir(root / "models") == []
    assert os.listdir(root / "users") == []


def test_volume_without_locks_is_refused_with_a_way_out(hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(BadSettings, match="cannot lock files: No locks available") as refused:
        fetch(root, "a")
    assert "strategy: None" in refused.value.hint
