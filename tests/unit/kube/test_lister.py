from modelservice_operator.controller.intake import record_of
from modelservice_operator.kube.lister import Lister
from modelservice_operator.kube.resources import BY_KIND
from tests.support.fake_kube import FakeKube

LABELS = {"app.kubernetes.io/managed-by": "modelservice-operator", "modelservice.dev/name": "chat"}


def make_service(namespace: str) -> dict[str, object]:
    return {"kind": "Service", "metadata": {"namespace": namespace, "name": "chat", "labels": LABELS}, "spec": {}}


async def test_snapshot_has_only_the_served_namespaces_when_some_are_named() -> None:
    kube = FakeKube()
    for namespace in ("a", "b", "c"):
        kube.put(BY_KIND["Service"], make_service(namespace))
    snapshot = await Lister(kube, ("a", "c"), record_of).snapshot("Service")
    assert [r.id.namespace for r in snapshot.records] == ["a", "c"]


async def test_snapshot_is_as_old_as_its_oldest_list_when_there_are_several() -> None:
    kube = FakeKube()
    snapshot = await Lister(kube, ("a", "b"), record_of).snapshot("Service")
    after = await Lister(kube, (), record_of).snapshot("Service")
    assert snapshot.version + 2 == after.version


async def test_cluster_scoped_kinds_are_listed_whole_when_namespaces_are_named() -> None:
    kube = FakeKube()
    kube.put(BY_KIND["RuntimeProfile"], {"kind": "RuntimeProfile", "metadata": {"name": "cpu"}, "spec": {}})
    snapshot = await Lister(kube, ("a",), record_of).snapshot("RuntimeProfile")
    assert [r.id.name for r in snapshot.records] == ["cpu"]
