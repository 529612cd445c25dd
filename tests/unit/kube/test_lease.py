import pytest

from modelservice_operator.engine.elector import LeaseRecord
from modelservice_operator.kube.errors import Conflict
from modelservice_operator.kube.lease import KubernetesLease
from modelservice_operator.kube.resources import LEASE
from tests.support.fake_kube import FakeKube

RECORD = LeaseRecord("a", 15, "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:01.000000Z", 3)


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def lease(kube: FakeKube) -> KubernetesLease:
    return KubernetesLease(kube, "system", "operator", 4.5)


async def test_read_returns_nothing_when_there_is_no_lease(lease: KubernetesLease) -> None:
    assert await lease.read() is None


async def test_record_survives_when_written_and_read(lease: KubernetesLease) -> None:
    stored = await lease.write(RECORD)
    assert stored.version
    assert await lease.read() == stored


async def test_write_is_refused_when_another_was_faster(lease: KubernetesLease) -> None:
    stored = await lease.write(RECORD)
    await lease.write(stored)
    renewed = LeaseRecord("b", 15, stored.acquired, "2026-01-01T00:00:09.000000Z", 4, stored.version)
    await lease.write(renewed)
    with pytest.raises(Conflict):
        await lease.write(LeaseRecord("c", 15, "", "", 5, stored.version))


async def test_read_survives_when_the_lease_is_empty_or_garbage(kube: FakeKube, lease: KubernetesLease) -> None:
    kube.put(LEASE, {"metadata": {"namespace": "system", "name": "operator"}, "spec": None})
    record = await lease.read()
    assert record is not None
    assert (record.holder, record.duration) == ("", 1)
