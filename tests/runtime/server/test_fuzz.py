"""A few generated requests for each of two families; `python -m tests.fuzz` sends thousands for all."""

from pathlib import Path

import pytest

from tests.fuzz.cases import fuzz
from tests.runtime.support.server import running, wait_until

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("family", ["decoder_folder", "classifier_folder"])
def test_generated_requests_are_answered_without_a_5xx(family: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(family)
    with running(folder) as server:
        findings = fuzz(server, 60)
        assert findings.failures == []
        assert {200, 400} <= set(findings.statuses)
        assert server.admin.get("/readyz").status_code == 200
        wait_until(lambda: server.stats() == {"running": 0, "queued": 0}, "the end of all work", 10)
