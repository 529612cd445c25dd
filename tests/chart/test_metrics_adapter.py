"""The optional component that serves metrics to autoscalers: absent unless asked for, and as strict as the operator."""

import base64

import pytest
from cryptography import x509

from modelservice_operator.metrics_adapter.settings import AdapterSettings
from tests.chart.rendering import NAMESPACE, Chart, Object, RefusedError, of_kind, one
from tests.chart.restricted import violations

pytestmark = pytest.mark.timeout(900)  # seconds; the first run may have to build Helm

NAME = "modelservice-metrics-adapter"
ENABLED = {"metricsAdapter": {"enabled": True}}


@pytest.fixture(scope="module")
def objects(chart: Chart) -> list[Object]:
    return chart.render(ENABLED)


def test_nothing_of_it_is_there_unless_asked_for(chart: Chart) -> None:
    assert [each for each in chart.render() if NAME in str(each["metadata"])] == []


def test_both_versions_lead_to_its_service(objects: list[Object]) -> None:
    services = of_kind(objects, "APIService")
    assert {each["metadata"]["name"] for each in services} == {
        "v1beta1.custom.metrics.k8s.io",
        "v1beta2.custom.metrics.k8s.io",
    }
    for each in services:
        assert each["spec"]["service"] == {"name": NAME, "namespace": NAMESPACE, "port": 443}
        assert "insecureSkipTLSVerify" not in each["spec"]


def test_certificate_is_for_its_service_and_signed_by_the_authority_that_is_registered(objects: list[Object]) -> None:
    data = one(objects, "Secret")["data"]
    authority, certificate = (
        x509.load_pem_x509_certificate(base64.b64decode(data[name])) for name in ("ca.crt", "tls.crt")
    )
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [f"{NAME}.{NAMESPACE}.svc"]
    assert {each["spec"]["caBundle"] for each in of_kind(objects, "APIService")} == {data["ca.crt"]}


def test_own_certificate_needs_the_authority_that_signed_it(chart: Chart) -> None:
    tls = {"existingSecret": "mine"}
    with pytest.raises(RefusedError, match="existingSecret needs caBundle"):
        chart.render({"metricsAdapter": {"enabled": True, "tls": tls}})
    objects = chart.render({"metricsAdapter": {"enabled": True, "tls": {**tls, "caBundle": "PEM"}}})
    assert of_kind(objects, "Secret") == []
    volumes = one(objects, "Deployment", NAME)["spec"]["template"]["spec"]["volumes"]
    assert {"name": "tls", "secret": {"secretName": "mine"}} in volumes


def test_its_pod_satisfies_the_restricted_standard_and_listens_where_its_service_leads(objects: list[Object]) -> None:
    deployment = one(objects, "Deployment", NAME)
    pod = deployment["spec"]["template"]["spec"]
    assert list(violations(pod)) == []
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    settings = AdapterSettings()
    assert ports == {"https": settings.port, "metrics": settings.listen_port}
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert one(objects, "Service", NAME)["spec"]["selector"].items() <= labels.items()
    assert not one(objects, "Deployment", "modelservice-operator")["spec"]["selector"]["matchLabels"].items() <= (
        labels.items()
    )


def test_it_may_list_pods_and_look_at_registrations_and_nothing_else(chart: Chart, objects: list[Object]) -> None:
    def rules(found: list[Object]) -> list[tuple[str, str, str]]:
        return sorted(
            (role["metadata"].get("namespace", "*"), *rule["resources"], *rule["verbs"])
            for kind in ("Role", "ClusterRole")
            for role in of_kind(found, kind)
            if role["metadata"]["name"].startswith(NAME)
            for rule in role["rules"]
        )

    assert rules(objects) == [("*", "apiservices", "get"), ("*", "pods", "list")]
    narrow = chart.render({**ENABLED, "watchNamespaces": ["team-a"]})
    assert rules(narrow) == [("*", "apiservices", "get"), ("team-a", "pods", "list")]
    trust = next(each for each in of_kind(objects, "RoleBinding") if each["metadata"]["namespace"] == "kube-system")
    assert trust["roleRef"]["name"] == "extension-apiserver-authentication-reader"
    assert trust["subjects"] == [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]
