"""How a service is reached: the children that the blocks ask for, and what a gateway says of its route."""

from typing import Any

import pytest

from modelservice_operator.domain import Facts, desired, missing_kinds
from tests.support.builders import IMAGE, make_modelservice, render_all


def _child(kind: str, **network: Any) -> dict[str, Any]:
    manifests = render_all(make_modelservice().with_spec(network=network).build())
    return next(body for body in manifests if body["kind"] == kind)


def test_ingress_sends_every_path_to_the_service() -> None:
    spec = _child("Ingress", ingress={})["spec"]
    (rule,) = spec["rules"]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["backend"]["service"]) == ("/", {"name": "chat", "port": {"name": "http"}})
    assert spec.keys() == {"rules"}
    assert "host" not in rule


def test_ingress_has_the_certificate_of_its_host() -> None:
    spec = _child("Ingress", ingress={"className": "nginx", "host": "a.example.com", "tlsSecretName": "tls"})["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert spec["tls"] == [{"hosts": ["a.example.com"], "secretName": "tls"}]
    assert spec["rules"][0]["host"] == "a.example.com"


def test_route_leads_to_the_port_of_the_service() -> None:
    spec = _child("HTTPRoute", service={"port": 8000}, httpRoute={"parentRefs": [{"name": "public", "namespace": ""}]})
    assert spec["spec"] == {
        "parentRefs": [{"name": "public"}],
        "rules": [{"backendRefs": [{"name": "chat", "port": 8000}]}],
    }


def test_route_is_left_out_and_told_when_its_kind_is_not_served() -> None:
    route = {"parentRefs": [{"name": "public"}]}
    service = make_modelservice().with_spec(network={"httpRoute": route}).build()
    assert "HTTPRoute" not in {child.kind.kind for child in desired(service, None, Facts(IMAGE))}
    assert missing_kinds(service, Facts(IMAGE)) == {"HTTPRoute"}


@pytest.mark.parametrize("peers", [[], [{"podSelector": {"matchLabels": {"app": "web"}}}]])
def test_policy_lets_in_the_peers_and_the_operator_and_nobody_else(peers: list[dict[str, Any]]) -> None:
    spec = _child("NetworkPolicy", networkPolicy={"from": peers})["spec"]
    assert spec["podSelector"] == {"matchLabels": {"modelservice.dev/name": "chat"}}
    *named, operator = spec["ingress"]
    assert [rule["from"] for rule in named] == ([peers] if peers else [])
    assert all({port["port"] for port in rule["ports"]} == {8080, 8081} for rule in named)
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": "modelservice-system"}}
    assert operator == {"from": [{"namespaceSelector": namespace}], "ports": [{"port": 8081, "protocol": "TCP"}]}
