"""Whether the operator works, from its Deployment and its Lease."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelservice_operator.cli.overseer import judge, settings_of

NOW = datetime(2026, 1, 31, 8, 0, 30, tzinfo=UTC)
DEPLOYMENT: dict[str, Any] = {
    "metadata": {"namespace": "modelservice-system"},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "image": "operator:1",
                        "env": [
                            {"name": "MODELSERVICE_OPERATOR_LEASE_NAME", "value": "mine"},
                            {"name": "POD_NAME", "valueFrom": {}},
                        ],
                    }
                ]
            }
        }
    },
    "status": {"readyReplicas": 2},
}


def _lease(renewed: str = "2026-01-31T08:00:28.000000Z", holder: str = "one") -> dict[str, Any]:
    return {"spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}}


def test_operator_is_well_when_its_lease_was_renewed_just_now() -> None:
    state = judge(DEPLOYMENT, _lease(), NOW)
    assert (state.problem, state.leader, state.renewed_seconds, state.ready_replicas) == ("", "one", 2.0, 2)
    assert state.image == "operator:1"


@pytest.mark.parametrize("lease", [None, _lease(holder=""), {"spec": {}}])
def test_nobody_leads_when_the_lease_has_no_holder(lease: dict[str, Any] | None) -> None:
    assert "no replica of the operator leads" in judge(DEPLOYMENT, lease, NOW).problem


def test_age_is_told_when_the_leader_has_stopped_renewing() -> None:
    problem = judge(DEPLOYMENT, _lease("2026-01-31T07:59:30.000000Z"), NOW).problem
    assert "leader one renewed its lease 60 s ago (limit 15 s)" in problem
    assert "kubectl get pods -n modelservice-system" in problem


def test_settings_are_those_that_the_deployment_gives() -> None:
    assert settings_of(DEPLOYMENT) == {"lease_name": "mine", "namespace": "modelservice-system"}
