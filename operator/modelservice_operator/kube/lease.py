"""The elector's record kept in a Lease of coordination.k8s.io."""

from modelservice_operator.engine.elector import LeaseRecord
from modelservice_operator.kube.api import Body, KubeApi
from modelservice_operator.kube.errors import NotFound
from modelservice_operator.kube.resources import LEASE


class KubernetesLease:
    """Implements `engine.elector.LeaseStore`; `timeout` bounds each call in seconds."""

    def __init__(self, api: KubeApi, namespace: str, name: str, timeout: float) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._timeout = timeout

    async def read(self) -> LeaseRecord | None:
        """Read the Lease; None when there is none."""
        try:
            return _record(await self._api.get(LEASE, self._namespace, self._name, deadline=self._timeout))
        except NotFound:
            return None

    async def write(self, record: LeaseRecord) -> LeaseRecord:
        """Create the Lease, or replace the version that was read."""
        body = self._body(record)
        if record.version:
            return _record(await self._api.replace(LEASE, body, deadline=self._timeout))
        return _record(await self._api.create(LEASE, body, deadline=self._timeout))

    def _body(self, record: LeaseRecord) -> Body:
        metadata: Body = {"namespace": self._namespace, "name": self._name}
        if record.version:
            metadata["resourceVersion"] = record.version
        spec = {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": record.duration,
            "acquireTime": record.acquired,
            "renewTime": record.renewed,
            "leaseTransitions": record.transitions,
        }
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _record(lease: Body) -> LeaseRecord:
    spec = lease.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration=spec.get("leaseDurationSeconds") or 1,
        acquired=spec.get("acquireTime") or spec.get("renewTime") or "",
        renewed=spec.get("renewTime") or "",
        transitions=spec.get("leaseTransitions") or 0,
        version=lease["metadata"]["resourceVersion"],
    )
