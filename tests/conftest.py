"""Fixtures that every test may use, how properties are tried, and which tests may run beside each other."""

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.support.clusters import control_plane, node

__all__ = ["control_plane", "node"]

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

CLUSTER_FOLDERS = frozenset(
    {"apiserver", "chart", "contract", "e2e", "faults", "fields", "harness", "kind", "property"}
)
"""Folders below tests/ whose tests start clusters or look at what they leave on the machine."""


class Lanes(LoadScopeScheduling):
    """What has to do with clusters runs one after the other, and beside it, file by file, all the rest.

    Tests of clusters mostly wait, those of models mostly compute, so that the two fill two cores; and there is only
    one control plane and one node at a time.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return "clusters" if file.split("/")[1] in CLUSTER_FOLDERS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """Called where tests run in more than one process (`pytest -n 2`)."""
    return Lanes(config, log)
