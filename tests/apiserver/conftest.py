"""Fixtures of the tests against a real API server."""

from collections.abc import AsyncIterator, Iterator

import pytest

from modelservice_operator.kube.client import KubernetesApi, Login
from tests.apiserver.judge import judge, served
from tests.cluster import Cluster
from tests.support.kubelet import Kubelet
from tests.support.operators import operators, served_control_plane
from tests.support.team import Team

__all__ = ["judge", "operators", "served", "served_control_plane", "team"]


@pytest.fixture
async def team(served_control_plane: Cluster) -> AsyncIterator[Team]:
    """A namespace of its own for one test, and a client in it; both are gone afterwards."""
    login = await Login.load(served_control_plane.kubeconfig, {})
    api = KubernetesApi(login, agent="team")
    team = Team(api)
    await team.open()
    yield team
    await team.close()
    await api.close()
    login.close()


@pytest.fixture
def kubelet(served_control_plane: Cluster, team: Team) -> Iterator[Kubelet]:
    """One who says what a kubelet would say of the team's pods, with a node; pods of no node would be collected."""
    kubelet = Kubelet(served_control_plane, team.namespace)
    kubelet.join()
    yield kubelet
    kubelet.leave()
