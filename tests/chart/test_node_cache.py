"""Caches on nodes: nothing unless a namespace asks, and for each namespace a folder that no other one sees."""

import pytest

from tests.chart.rendering import NAMESPACE, Chart, RefusedError, of_kind, one

pytestmark = pytest.mark.timeout(900)  # seconds; the first run may have to build Helm

KINDS = ("PersistentVolume", "PersistentVolumeClaim", "DaemonSet")


def test_nothing_is_made_when_no_namespace_has_a_cache(chart: Chart) -> None:
    assert [each for kind in KINDS for each in of_kind(chart.render(), kind)] == []


def test_each_namespace_has_a_volume_and_a_claim_of_its_own(chart: Chart) -> None:
    objects = chart.render({"nodeCache": {"namespaces": ["team-a", "team-b"], "path": "/data/"}})
    claims = of_kind(objects, "PersistentVolumeClaim", "modelservice-node-cache")
    assert [claim["metadata"]["namespace"] for claim in claims] == ["team-a", "team-b"]
    for claim, name in zip(claims, ("team-a", "team-b"), strict=True):
        volume = one(objects, "PersistentVolume", claim["spec"]["volumeName"])
        assert volume["spec"]["local"] == {"path": f"/data/{name}"}
        assert volume["spec"]["claimRef"]["namespace"] == name
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert volume["spec"]["accessModes"] == claim["spec"]["accessModes"] == ["ReadWriteMany"]
        assert volume["spec"]["storageClassName"] == claim["spec"]["storageClassName"] == ""


def test_folders_are_made_by_a_daemon_set_without_privileges(chart: Chart) -> None:
    values = {"nodeCache": {"namespaces": ["team-a", "team-b"]}}
    daemon = one(chart.render(values), "DaemonSet")
    assert daemon["metadata"]["namespace"] == NAMESPACE
    pod = daemon["spec"]["template"]["spec"]
    assert [volume["hostPath"]["path"] for volume in pod["volumes"]] == [
        "/var/lib/modelservice/cache/team-a",
        "/var/lib/modelservice/cache/team-b",
    ]
    (container,) = pod["containers"]
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False
    elsewhere = chart.render({"nodeCache": {**values["nodeCache"], "namespace": "kube-system"}})
    assert one(elsewhere, "DaemonSet")["metadata"]["namespace"] == "kube-system"


def test_values_are_checked(chart: Chart) -> None:
    with pytest.raises(RefusedError, match="nodeCache"):
        chart.render({"nodeCache": {"path": "relative"}})
    with pytest.raises(RefusedError, match="nodeCache"):
        chart.render({"nodeCache": {"namespaces": ["Team_A"]}})
