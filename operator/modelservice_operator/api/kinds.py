"""The kinds of children that the operator owns: one registry for watching, rendering, pruning and permissions."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ChildKind:
    """One kind of child; `optional` kinds come from CRDs that a cluster may lack.

    `selector` is what sets the operator's own objects apart where others give theirs the same labels.
    """

    kind: str
    group: str
    version: str
    plural: str
    optional: bool = False
    selector: str = ""

    @property
    def api_version(self) -> str:
        """`apiVersion` as manifests carry it: the core group has no prefix."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str = "") -> str:
        """URL path of the collection in that namespace, or of one object in it."""
        prefix = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        collection = f"{prefix}/namespaces/{namespace}/{self.plural}"
        return f"{collection}/{name}" if name else collection


SERVICE_ACCOUNT: Final = ChildKind("ServiceAccount", "", "v1", "serviceaccounts")
CONFIG_MAP: Final = ChildKind("ConfigMap", "", "v1", "configmaps")
JOB: Final = ChildKind("Job", "batch", "v1", "jobs")
DEPLOYMENT: Final = ChildKind("Deployment", "apps", "v1", "deployments")
SERVICE: Final = ChildKind("Service", "", "v1", "services")
ENDPOINT_SLICE: Final = ChildKind(
    "EndpointSlice",
    "discovery.k8s.io",
    "v1",
    "endpointslices",
    selector="endpointslice.kubernetes.io/managed-by=modelservice-operator",
)
"""Leads from a Service to the activator. Kubernetes gives the slices that it keeps itself the labels of the Service."""
HORIZONTAL_POD_AUTOSCALER: Final = ChildKind("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers")
SCALED_OBJECT: Final = ChildKind("ScaledObject", "keda.sh", "v1alpha1", "scaledobjects", optional=True)
POD_DISRUPTION_BUDGET: Final = ChildKind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets")
NETWORK_POLICY: Final = ChildKind("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies")
INGRESS: Final = ChildKind("Ingress", "networking.k8s.io", "v1", "ingresses")
HTTP_ROUTE: Final = ChildKind("HTTPRoute", "gateway.networking.k8s.io", "v1", "httproutes", optional=True)
SERVICE_MONITOR: Final = ChildKind("ServiceMonitor", "monitoring.coreos.com", "v1", "servicemonitors", optional=True)
PROMETHEUS_RULE: Final = ChildKind("PrometheusRule", "monitoring.coreos.com", "v1", "prometheusrules", optional=True)

CHILD_KINDS: Final[tuple[ChildKind, ...]] = (
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    JOB,
    DEPLOYMENT,
    SERVICE,
    ENDPOINT_SLICE,
    HORIZONTAL_POD_AUTOSCALER,
    SCALED_OBJECT,
    POD_DISRUPTION_BUDGET,
    NETWORK_POLICY,
    INGRESS,
    HTTP_ROUTE,
    SERVICE_MONITOR,
    PROMETHEUS_RULE,
)
"""Every kind of child, in the order in which the children of one ModelService are applied."""

BY_KIND: Final[dict[str, ChildKind]] = {child.kind: child for child in CHILD_KINDS}
