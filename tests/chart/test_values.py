"""Wrong values are refused by the schema, and the message names the key."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chart.rendering import Chart, RefusedError
from tests.chart.tools import ROOT

pytestmark = pytest.mark.timeout(900)  # seconds; the first run may have to build Helm

WRONG = [
    ({"replica": 3}, "additional properties 'replica' not allowed"),
    ({"image": {"repo": "x"}}, "/image': additional properties 'repo' not allowed"),
    ({"image": {"repository": ""}}, "/image/repository'"),
    (
        {"image": {"pullPolicy": "Sometimes"}},
        "/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
    ),
    ({"image": {"digest": "sha256:1"}}, "/image/digest'"),
    ({"replicas": 0}, "/replicas': minimum: got 0, want 1"),
    ({"replicas": "two"}, "/replicas': got string, want integer"),
    ({"watchNamespaces": "team-a"}, "/watchNamespaces': got string, want array"),
    ({"watchNamespaces": ["Team_A"]}, "/watchNamespaces/0'"),
    ({"operator": {"logLevel": "TRACE"}}, "/operator/logLevel': value must be one of"),
    ({"operator": {"leaderElection": {"lease": 1}}}, "/operator/leaderElection': additional properties 'lease'"),
    ({"metrics": {"service": {"port": 0}}}, "/metrics/service/port': minimum: got 0, want 1"),
    ({"metrics": {"serviceMonitor": {"interval": "30"}}}, "/metrics/serviceMonitor/interval'"),
    ({"imagePullSecrets": ["registry"]}, "/imagePullSecrets/0': got string, want object"),
    ({"podLabels": {"a": 1}}, "/podLabels/a': got number, want string"),
    ({"profiles": {"cpu": {"defualt": True}}}, "/profiles/cpu': additional properties 'defualt' not allowed"),
    ({"profiles": {"cpu": {"default": "yes"}}}, "/profiles/cpu/default': got string, want boolean"),
]


@pytest.mark.parametrize(("values", "complaint"), WRONG, ids=[json.dumps(values) for values, _ in WRONG])
def test_a_wrong_value_is_refused_with_its_name(chart: Chart, values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        chart.render(values)
    assert complaint in str(refusal.value)


def test_a_service_monitor_without_the_service_is_refused_with_the_way_out(chart: Chart) -> None:
    with pytest.raises(RefusedError, match=r"needs metrics\.service\.enabled"):
        chart.render({"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}})


@pytest.mark.parametrize("times", [{"leaseDuration": 10}, {"retryPeriod": 5}], ids=str)
def test_times_of_the_election_that_could_give_two_leaders_are_refused(chart: Chart, times: dict[str, int]) -> None:
    with pytest.raises(RefusedError, match="leaseDuration must be above renewDeadline"):
        chart.render({"operator": {"leaderElection": times}})


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, each in schema.get("properties", {}).items():
        yield f"{path}/{name}", each
        yield from walk(each, f"{path}/{name}")


def test_every_key_is_described_and_every_group_is_closed() -> None:
    schema = json.loads((ROOT / "charts/modelservice/values.schema.json").read_text())
    nodes = dict(walk(schema))
    assert [path for path, node in nodes.items() if not node.get("description")] == []
    assert schema["additionalProperties"] is False
    assert [
        path for path, node in nodes.items() if node.get("properties") and node["additionalProperties"] is not False
    ] == []


def test_a_parent_chart_may_share_its_values(chart: Chart) -> None:
    assert chart.render({"global": {"registry": "mirror"}})
