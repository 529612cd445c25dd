"""Whether somebody else already provides `custom.metrics.k8s.io`.

A cluster has one provider of the group for all its autoscalers. Two that share its versions would each answer for the
half of the metrics that they do not know, so this one serves nothing while another is registered for any version.
"""

from typing import Final

from modelservice_operator.kube.api import KubeApi
from modelservice_operator.kube.errors import NotFound
from modelservice_operator.kube.resources import Resource
from modelservice_operator.metrics_adapter.protocol import GROUP, VERSIONS

API_SERVICE: Final = Resource("APIService", "apiregistration.k8s.io", "v1", "apiservices", namespaced=False)


async def find_other_provider(api: KubeApi, namespace: str, service: str) -> str:
    """Say who else is registered for a version of the group; empty when nobody is. Raises ApiError."""
    for version in VERSIONS:
        name = f"{version}.{GROUP}"
        try:
            body = await api.get(API_SERVICE, "", name)
        except NotFound:
            continue
        found = body["spec"].get("service") or {}
        if (found.get("namespace"), found.get("name")) != (namespace, service):
            return (
                f"APIService {name} belongs to {found.get('namespace')}/{found.get('name')}; scale by that provider, "
                "or remove it first"
            )
    return ""
