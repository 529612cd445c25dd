"""What the compared processes are given alike."""

import pytest

from tests.bench.runtime.servers import child_environment


def test_every_process_may_use_all_cpus_when_the_caller_limits_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    given = child_environment()
    assert not [name for name in given if name.endswith("_NUM_THREADS")]
    assert given["HF_HUB_OFFLINE"] == "1"
