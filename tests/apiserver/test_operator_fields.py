"""Fields whose effect only an API server can show: the child is accepted, comes back, goes with its field, is quiet."""

from typing import Any

import pytest

from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.cluster import Cluster
from tests.support.audit import describe
from tests.support.operators import Operators
from tests.support.polling import until_async
from tests.support.team import Team

pytestmark = pytest.mark.control_plane

BASIC = ("ServiceAccount", "Deployment", "Service")


async def _pod(team: Team, name: str) -> dict[str, Any]:
    deployment = await team.get("Deployment", name)
    assert deployment is not None
    template: dict[str, Any] = deployment["spec"]["template"]
    return template


def _give_other_keys(deployment: dict[str, Any]) -> None:
    for volume in deployment["spec"]["template"]["spec"]["volumes"]:
        if "secret" in volume:
            volume["secret"]["secretName"] = "other"


async def test_pod_template_follows_and_stays_quiet_when_fields_of_the_pod_come_and_go(
    operators: Operators, team: Team
) -> None:
    operators.start_leader()
    adapters = [{"name": "fin", "uri": "hf://org/fin"}, {"name": "law", "uri": "pvc://adapters/law"}]
    model = {"uri": "pvc://tests/tiny", "adapters": adapters}
    await team.create("chat", model=model, security={"apiKeySecretRef": {"name": "chat-keys"}})
    await team.expect_children(*BASIC, name="chat")
    await team.quiet()
    operators.audit.mark()
    await team.change("Deployment", "chat", _give_other_keys)

    async def keys_come_from(secret: str | None) -> bool:
        volumes = (await _pod(team, "chat"))["spec"]["volumes"]
        return [volume["secret"]["secretName"] for volume in volumes if "secret" in volume] == [secret] * bool(secret)

    await until_async(lambda: keys_come_from("chat-keys"), 5)
    await team.quiet()
    children = [line for line in describe(operators.audit.writes()) if "modelservices" not in line]
    assert children == ["patch deployments/ chat"]
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].pop("security"))
    await until_async(lambda: keys_come_from(None), 5)


async def test_alerts_and_dashboard_come_back_and_go_with_their_blocks(
    operators: Operators, team: Team, served_control_plane: Cluster
) -> None:
    served_control_plane.install_crds("prometheusrule")
    operators.start_leader()
    operators.audit.mark()
    await team.create("chat", observability={"prometheusRule": {"labels": {"release": "p"}}, "dashboard": {}})
    await team.expect_children(*BASIC, "PrometheusRule", name="chat")
    assert ("ConfigMap", "chat-dashboard") in await team.children()
    await team.quiet()
    assert len(operators.audit.writes()) <= 6 + 2, describe(operators.audit.writes())

    await team.remove("ConfigMap", "chat-dashboard")
    await team.change("PrometheusRule", "chat", lambda body: body["spec"]["groups"][0]["rules"].pop())

    async def repaired() -> bool:
        rule = await team.get("PrometheusRule", "chat")
        board = await team.get("ConfigMap", "chat-dashboard")
        return rule is not None and board is not None and len(rule["spec"]["groups"][0]["rules"]) == 7

    await until_async(repaired, 5)
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].pop("observability"))
    await team.expect_children(*BASIC, name="chat")

    async def gone() -> bool:
        return await team.get("ConfigMap", "chat-dashboard") is None

    await until_async(gone, 5)
    served_control_plane.kubectl("delete", "crd", "prometheusrules.monitoring.coreos.com", "--wait=true")


async def test_routes_and_policy_come_back_and_go_with_their_blocks(
    operators: Operators, team: Team, served_control_plane: Cluster
) -> None:
    served_control_plane.install_crds("gateway-api")
    operators.start_leader()
    operators.audit.mark()
    network = {
        "ingress": {"className": "nginx", "host": "chat.example.com", "tlsSecretName": "chat-tls"},
        "httpRoute": {"parentRefs": [{"name": "public"}], "hostnames": ["chat.example.com"]},
        "networkPolicy": {"from": [{"podSelector": {}}]},
    }
    await team.create("chat", network=network)
    await team.expect_children(*BASIC, "Ingress", "HTTPRoute", "NetworkPolicy", name="chat")
    condition = await team.expect_condition("chat", "NetworkReady", "False", "RouteNotAccepted")
    assert "public" in condition["message"]
    await team.quiet()
    assert len(operators.audit.writes()) <= 7 + 2, describe(operators.audit.writes())

    await team.remove("HTTPRoute", "chat")
    await team.change("Ingress", "chat", lambda body: body["spec"]["rules"][0].update(host="other.example.com"))
    await team.change("NetworkPolicy", "chat", lambda body: body["spec"].update(ingress=[{}]))

    async def repaired() -> bool:
        route, ingress = await team.get("HTTPRoute", "chat"), await team.get("Ingress", "chat")
        policy = await team.get("NetworkPolicy", "chat")
        if route is None or ingress is None or policy is None:
            return False
        return ingress["spec"]["rules"][0]["host"] == "chat.example.com" and len(policy["spec"]["ingress"]) == 2

    await until_async(repaired, 5)
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].pop("network"))
    await team.expect_children(*BASIC, name="chat")
    served_control_plane.kubectl("delete", "crd", "httproutes.gateway.networking.k8s.io", "--wait=true")


async def test_pods_go_and_come_back_when_a_service_is_suspended_and_resumed(operators: Operators, team: Team) -> None:
    operators.start_leader()
    await team.create("chat", autoscaling={"minReplicas": 2, "maxReplicas": 4})
    await team.expect_children(*BASIC, "HorizontalPodAutoscaler", name="chat")
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(suspend=True))
    await team.expect_children(*BASIC, name="chat")
    await team.expect_condition("chat", "Ready", "False", "Suspended")

    async def replicas_are(number: int) -> bool:
        deployment = await team.get("Deployment", "chat")
        return deployment is not None and deployment["spec"]["replicas"] == number

    await until_async(lambda: replicas_are(0), 20)
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].update(suspend=False))
    await team.expect_children(*BASIC, "HorizontalPodAutoscaler", name="chat")
    await until_async(lambda: replicas_are(1), 20)

    async def suspended_is_gone() -> bool:
        return await team.condition("chat", "Suspended") == {}

    await until_async(suspended_is_gone, 20)


async def test_pod_template_is_merged_and_its_mistakes_are_told(operators: Operators, team: Team) -> None:
    operators.start_leader()
    sidecar = {"name": "proxy", "image": "proxy:1"}
    await team.create("chat", podTemplate={"spec": {"containers": [sidecar]}})
    await team.create("theft", podTemplate={"spec": {"containers": [{"name": "server", "image": "other"}]}})
    await team.create("typo", podTemplate={"spec": {"containerz": []}})
    await team.expect_children(*BASIC, name="chat")
    containers = (await _pod(team, "chat"))["spec"]["containers"]
    assert [container["name"] for container in containers] == ["server", "proxy"]
    refused = await team.expect_condition("theft", "SpecValid", "False", "InvalidSpec")
    assert "use spec.runtime.image" in refused["message"]
    told = await team.expect_condition("typo", "InSync", "False", "ApplyFailed")
    assert "containerz" in told["message"]
    await team.quiet()
    operators.audit.mark()
    await team.change(MODEL_SERVICE.kind, "chat", lambda body: body["spec"].pop("podTemplate"))

    async def alone() -> bool:
        return [container["name"] for container in (await _pod(team, "chat"))["spec"]["containers"]] == ["server"]

    await until_async(alone, 20)
