"""How the service is reached, kept available, secured, observed and ended."""

from typing import Annotated, Literal

from pydantic import Field

from ..markers import Atomic, Cel, ListMap, ListSet, matches
from .block import Block
from .fields import (
    AnnotationMap,
    Duration,
    HostName,
    IntOrPercent,
    LabelMap,
    NameRef,
    ObjectName,
    OpenObject,
    OptionalName,
)


class Cache(Block):
    """A cache of model files that outlives pods, shared by the ModelServices of a namespace."""

    RULES = (
        Cel(
            "!has(self.strategy) || self.strategy != 'Shared' || (has(self.claimName) && self.claimName != '')",
            "names the PersistentVolumeClaim of a shared cache; add it",
            lambda cache: cache.strategy != "Shared" or bool(cache.claim_name),
            field="claimName",
            reason="FieldValueRequired",
        ),
        Cel(
            "!has(self.claimName) || self.claimName == '' || (has(self.strategy) && self.strategy == 'Shared')",
            "is for strategy Shared; remove it, or set strategy: Shared",
            lambda cache: cache.claim_name == "" or cache.strategy == "Shared",
            field="claimName",
        ),
    )

    strategy: Literal["None", "Node", "Shared"] = "None"
    """None fetches for every pod, Node keeps files on the disk of each node (the owner of the cluster prepares it for
    the namespace), Shared on the volume of claimName. What is kept is known by its immutable revision."""
    claim_name: OptionalName = ""
    """PersistentVolumeClaim in the same namespace that holds a shared cache; ReadWriteMany, and with file locks."""


class Termination(Block):
    """How a pod ends."""

    drain_seconds: Annotated[int, Field(ge=0, le=3600)] = 45
    """How long running requests may go on after a pod was told to end, in seconds."""


class ServiceOptions(Block):
    """The Service in front of the pods."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service."""
    port: Annotated[int, Field(ge=1, le=65535)] = 80
    """Port of the Service."""
    annotations: AnnotationMap = Field(default_factory=dict)
    """Annotations of the Service, for example for a load balancer."""


class Ingress(Block):
    """An Ingress in front of the Service."""

    RULES = (
        Cel(
            "!has(self.tlsSecretName) || self.tlsSecretName == '' || (has(self.host) && self.host != '')",
            "needs spec.network.ingress.host; set the host that the certificate is for",
            lambda block: block.tls_secret_name == "" or block.host != "",
            field="tlsSecretName",
        ),
    )

    class_name: OptionalName = ""
    """IngressClass; empty means the cluster's default."""
    host: HostName = ""
    """Host name; empty means every host."""
    tls_secret_name: OptionalName = ""
    """Secret with the certificate of the host."""


class ParentRef(Block):
    """A gateway that an HTTPRoute attaches to."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: OptionalName = ""
    """Namespace of the Gateway; empty means the same one."""
    section_name: OptionalName = ""
    """Listener of the Gateway; empty means every one."""


class HttpRoute(Block):
    """An HTTPRoute of the Gateway API in front of the Service."""

    RULES = (
        Cel(
            "has(self.parentRefs) && size(self.parentRefs) > 0",
            "needs at least one gateway; name it, for example parentRefs: [{name: public}]",
            lambda block: len(block.parent_refs) > 0,
            field="parentRefs",
            reason="FieldValueRequired",
        ),
    )

    parent_refs: Annotated[list[ParentRef], Field(max_length=8), Atomic()] = Field(default_factory=list)
    """Gateways that the route attaches to."""
    hostnames: Annotated[list[HostName], Field(max_length=16), ListSet()] = Field(default_factory=list)
    """Host names of the route; empty means those of the gateway."""


class NetworkPolicy(Block):
    """A NetworkPolicy that lets in only what it names, and the operator to the admin port."""

    from_: Annotated[list[OpenObject], Field(max_length=32), Atomic()] = Field(default_factory=list, alias="from")
    """Peers that may send requests and read metrics, as in a NetworkPolicy: also an ingress controller, a gateway and
    Prometheus have to be named. Empty means nobody."""


class Network(Block):
    """How the service is reached."""

    service: ServiceOptions = ServiceOptions()
    """The Service in front of the pods."""
    ingress: Ingress | None = None
    """An Ingress in front of the Service."""
    http_route: HttpRoute | None = None
    """An HTTPRoute of the Gateway API in front of the Service."""
    network_policy: NetworkPolicy | None = None
    """A NetworkPolicy that lets in only what it names."""


class Security(Block):
    """Identity and credentials of the pods."""

    service_account_name: OptionalName = ""
    """ServiceAccount of the pods; empty makes one of the ModelService's name, without any permission."""
    api_key_secret_ref: NameRef | None = None
    """Secret in the same namespace with the keys of which each request must carry one as `Authorization: Bearer KEY`.
    Each entry holds lines of the form KEY, NAME:KEY or NAME:KEY:REQUESTS_PER_MINUTE; a change counts within about a
    minute, without a restart."""
    image_pull_secrets: Annotated[list[NameRef], Field(max_length=8), ListMap("name")] = Field(default_factory=list)
    """Secrets with which images, and models of oci://, are pulled."""


class Availability(Block):
    """A PodDisruptionBudget for the replicas."""

    min_available: IntOrPercent
    """How many replicas, or what percentage, a node's maintenance must leave running."""


class ServiceMonitor(Block):
    """A ServiceMonitor of the Prometheus operator."""

    labels: LabelMap = Field(default_factory=dict)
    """Labels by which a Prometheus selects the ServiceMonitor, such as release: prometheus."""
    interval: Duration = "30s"
    """How often metrics are read."""


class PrometheusRule(Block):
    """Alerts of the Prometheus operator: not ready, crash loop, errors, latency, queue, KV cache, idle accelerators."""

    labels: LabelMap = Field(default_factory=dict)
    """Labels by which a Prometheus selects the PrometheusRule, such as release: prometheus."""
    latency_seconds: Annotated[int, Field(ge=1, le=160)] = 30
    """What 95% of the requests should be answered in, in seconds."""
    error_percent: Annotated[int, Field(ge=1, le=50)] = 1
    """Share of the requests that may fail, in percent: the error budget."""


class Dashboard(Block):
    """A dashboard for Grafana, in a ConfigMap that Grafana's sidecar finds by its labels."""

    labels: LabelMap = Field(default_factory=dict)
    """Labels of the ConfigMap; empty means grafana_dashboard: "1", which the sidecar of Grafana's chart looks for."""
    folder: Annotated[str, Field(max_length=253)] = ""
    """Folder of the dashboard in Grafana; empty means the sidecar's default."""


class Tracing(Block):
    """Traces of requests."""

    endpoint: Annotated[
        str,
        Field(max_length=1024),
        matches("^https?://[!-~]+$", "must be the address of a collector for OTLP over HTTP, such as http://otel:4318"),
    ]
    """Address of a collector that takes OTLP over HTTP, such as http://otel-collector.monitoring:4318."""


class Observability(Block):
    """How the service is observed."""

    service_monitor: ServiceMonitor | None = None
    """A ServiceMonitor of the Prometheus operator."""
    prometheus_rule: PrometheusRule | None = None
    """Alerts of the Prometheus operator; they need the metrics that a ServiceMonitor brings."""
    dashboard: Dashboard | None = None
    """A dashboard for Grafana; it needs the metrics that a ServiceMonitor brings."""
    tracing: Tracing | None = None
    """Traces of requests."""
