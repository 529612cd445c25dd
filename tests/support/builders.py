"""Builders of ModelServices, RuntimeProfiles, pods and live children, in the shapes that a real cluster gives them."""

import copy
from collections.abc import Mapping
from typing import Any

from modelservice_operator.api.quantity import canonical_quantity
from modelservice_operator.api.v1alpha1 import ModelService, RuntimeProfile
from modelservice_operator.domain import AWAKE, OPEN, Facts, Gate, Rest, desired, project, read_profile, read_service
from modelservice_operator.render import Renderer

Body = dict[str, Any]

OWNER_UID = "0f5a2b7e-6f3d-4b0e-9a53-3a1c8f2d7e11"
NAME = "chat"
NAMESPACE = "team"
IMAGE = "registry.example.com/modelservice-runtime:1.2"
FACTS = Facts(
    IMAGE,
    optional_kinds=frozenset({"ServiceMonitor", "PrometheusRule", "HTTPRoute", "ScaledObject"}),
    operator_namespace="modelservice-system",
    prometheus_url="http://prometheus.monitoring:9090",
)

CREATED = "2026-01-31T08:00:00Z"
SCHEDULED = "2026-01-31T08:00:02Z"
SANDBOXED = "2026-01-31T08:00:03Z"
FETCH_BEGAN = "2026-01-31T08:00:13Z"
FETCH_ENDED = "2026-01-31T08:00:53Z"
STARTED = "2026-01-31T08:00:54Z"
READY_AT = "2026-01-31T08:01:05Z"


class ModelServiceBuilder:
    """A ModelService that grows by `with_*` calls, each of which returns a new builder."""

    def __init__(self, body: Body) -> None:
        self.body = body

    def with_spec(self, **blocks: Any) -> "ModelServiceBuilder":
        """Set blocks of the spec, in the manifest's words."""
        body = copy.deepcopy(self.body)
        body["spec"] |= blocks
        return ModelServiceBuilder(body)

    def with_model(self, **fields: Any) -> "ModelServiceBuilder":
        """Set fields of spec.model."""
        return self.with_spec(model={**self.body["spec"]["model"], **fields})

    def with_gpu(self, count: int = 1, **fields: Any) -> "ModelServiceBuilder":
        """Ask for accelerators."""
        return self.with_spec(accelerator={"count": count, **fields})

    def with_status(self, status: Mapping[str, Any]) -> "ModelServiceBuilder":
        """Give it the status that was written before."""
        return ModelServiceBuilder({**copy.deepcopy(self.body), "status": dict(status)})

    def with_generation(self, generation: int) -> "ModelServiceBuilder":
        """Give it another generation."""
        body = copy.deepcopy(self.body)
        body["metadata"]["generation"] = generation
        return ModelServiceBuilder(body)

    def build(self) -> ModelService:
        """Validate it."""
        return read_service(self.body)


def make_modelservice(uri: str = "hf://Qwen/Qwen2.5-0.5B-Instruct", name: str = NAME) -> ModelServiceBuilder:
    """The smallest useful ModelService."""
    metadata = {"name": name, "namespace": NAMESPACE, "uid": OWNER_UID, "generation": 1}
    return ModelServiceBuilder({"metadata": metadata, "spec": {"model": {"uri": uri}}})


def make_profile(name: str = "nvidia", **spec: Any) -> RuntimeProfile:
    """A RuntimeProfile."""
    return read_profile({"metadata": {"name": name}, "spec": spec})


def make_gpu_profile(**spec: Any) -> RuntimeProfile:
    """The profile of an NVIDIA pool."""
    accelerator = {"resource": "nvidia.com/gpu", "count": 1, "productLabel": "nvidia.com/gpu.product"}
    return make_profile(accelerator=accelerator, **spec)


def render_all(
    service: ModelService,
    profile: RuntimeProfile | None = None,
    facts: Facts = FACTS,
    gate: Gate = OPEN,
    rest: Rest = AWAKE,
) -> list[Body]:
    """The manifests of all children; behind an open gate, and with pods, unless something else is given."""
    renderer = Renderer()
    return [renderer.render(child.template, child.values) for child in desired(service, profile, facts, gate, rest)]


def make_live(manifest: Mapping[str, Any]) -> Body:
    """The object that the API server makes of a manifest: defaulted, in its own spelling, with company, projected."""
    body: Body = copy.deepcopy(dict(manifest))
    metadata = body["metadata"]
    metadata |= {
        "uid": f"uid-{body['kind']}",
        "resourceVersion": "100",
        "generation": 1,
        "creationTimestamp": CREATED,
        "managedFields": [{"manager": "modelservice-operator", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
    }
    metadata["annotations"]["deployment.kubernetes.io/revision"] = "1"
    default = {"Deployment": _default_deployment, "Service": _default_service, "HorizontalPodAutoscaler": _default_hpa}
    default.get(body["kind"], lambda _: None)(body)
    return project(body["kind"], body)


def make_children(manifests: list[Body]) -> dict[tuple[str, str], Body]:
    """The live children of manifests, by kind and name."""
    return {(manifest["kind"], manifest["metadata"]["name"]): make_live(manifest) for manifest in manifests}


def _default_deployment(body: Body) -> None:
    body["spec"].setdefault("replicas", 1)
    body["status"] = {"observedGeneration": 1}
    pod = body["spec"]["template"]["spec"]
    body["spec"]["template"]["metadata"]["creationTimestamp"] = None
    pod |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "serviceAccount": pod["serviceAccountName"]}
    pod.setdefault("schedulerName", "default-scheduler")
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        for kind in ("requests", "limits"):
            quantities = container["resources"].get(kind, {})
            quantities |= {name: canonical_quantity(value) for name, value in quantities.items()}
        container["env"] = [_drop_empty(variable) for variable in container["env"]]
        for variable in container["env"]:
            if "fieldRef" in variable.get("valueFrom", {}):
                variable["valueFrom"]["fieldRef"]["apiVersion"] = "v1"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                container[probe] |= {"successThreshold": 1}
                container[probe]["httpGet"]["scheme"] = "HTTP"
    for volume in pod["volumes"]:
        if "downwardAPI" in volume:
            volume["downwardAPI"]["defaultMode"] = 420
            for file in volume["downwardAPI"]["items"]:
                file["fieldRef"]["apiVersion"] = "v1"


def _drop_empty(variable: Body) -> Body:
    return {key: value for key, value in variable.items() if value != ""}


def _default_service(body: Body) -> None:
    spec = body["spec"]
    spec |= {"clusterIP": "10.96.12.7", "clusterIPs": ["10.96.12.7"], "ipFamilies": ["IPv4"]}
    spec |= {"internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "ipFamilyPolicy": "SingleStack"}
    if spec["type"] != "ClusterIP":
        for position, port in enumerate(spec["ports"]):
            port["nodePort"] = 30000 + position
    body["status"] = {"loadBalancer": {}}


def _default_hpa(body: Body) -> None:
    for metric in body["spec"]["metrics"]:
        target = metric[metric["type"].lower()]["target"]
        if "averageValue" in target:
            target["averageValue"] = canonical_quantity(target["averageValue"])


def make_deployment(manifests: list[Body], **status: Any) -> Body:
    """The live Deployment among manifests, with the counts of its controller's status."""
    manifest = next(manifest for manifest in manifests if manifest["kind"] == "Deployment")
    live = make_live(manifest)
    live["status"] = {"observedGeneration": live["metadata"]["generation"], **status}
    return live


class PodBuilder:
    """A pod as the kubelet and the scheduler report it; starts out pending and unseen by both."""

    def __init__(self, template: Mapping[str, Any], name: str, template_hash: str) -> None:
        pod = template["spec"]
        self.body: Body = {
            "metadata": {
                "name": f"{NAME}-{template_hash}-{name}",
                "namespace": NAMESPACE,
                "uid": f"uid-{name}",
                "resourceVersion": "7",
                "creationTimestamp": CREATED,
                "labels": {**template["metadata"]["labels"], "pod-template-hash": template_hash},
                "ownerReferences": [
                    {"kind": "ReplicaSet", "name": f"{NAME}-{template_hash}", "uid": "rs", "controller": True}
                ],
            },
            "spec": {
                "containers": copy.deepcopy(pod["containers"]),
                "initContainers": copy.deepcopy(pod.get("initContainers", [])),
                "volumes": copy.deepcopy(pod["volumes"]),
            },
            "status": {"phase": "Pending"},
        }

    def created(self, time: str) -> "PodBuilder":
        """Set the time of creation."""
        self.body["metadata"]["creationTimestamp"] = time
        return self

    def unschedulable(self, message: str) -> "PodBuilder":
        """The scheduler finds no node."""
        self._condition("PodScheduled", "False", CREATED, reason="Unschedulable", message=message)
        return self

    def scheduled(self) -> "PodBuilder":
        """The scheduler has found a node and the kubelet has made the sandbox."""
        self.body["spec"]["nodeName"] = "node-1"
        self._condition("PodScheduled", "True", SCHEDULED)
        self._condition("PodReadyToStartContainers", "True", SANDBOXED)
        for key, statuses in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
            self.body["status"][statuses] = [
                self._status(spec, {"waiting": {"reason": "PodInitializing"}}) for spec in self.body["spec"][key]
            ]
        return self

    def fetched(self, message: str = "") -> "PodBuilder":
        """The fetch container has done its work."""
        ended = {"exitCode": 0, "reason": "Completed", "startedAt": FETCH_BEGAN, "finishedAt": FETCH_ENDED}
        self._set("fetch", ready=True, state={"terminated": {**ended, "message": message}})
        return self

    def running(self) -> "PodBuilder":
        """The server runs and is not ready."""
        self.body["status"]["phase"] = "Running"
        self._set("server", started=False, state={"running": {"startedAt": STARTED}})
        return self

    def ready(self) -> "PodBuilder":
        """The server is ready."""
        if not self.body["spec"].get("nodeName"):
            self.scheduled()
        if self.body["spec"]["initContainers"]:
            self.fetched()
        self.running()
        self._set("server", ready=True, started=True)
        self._condition("Ready", "True", READY_AT)
        self.body["status"]["podIP"] = "10.244.1.9"
        return self

    def waiting(self, container: str, reason: str, message: str = "") -> "PodBuilder":
        """A container waits for the reason that the kubelet gives."""
        self._set(container, state={"waiting": {"reason": reason, "message": message}})
        return self

    def crashed(self, container: str, exit_code: int, message: str = "", reason: str = "Error") -> "PodBuilder":
        """A container has ended and waits for its next try."""
        ended = {"exitCode": exit_code, "reason": reason, "startedAt": STARTED, "finishedAt": "2026-01-31T08:02:00Z"}
        last = {"terminated": {**ended, "message": message}}
        back_off = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
        self._set(container, state=back_off, lastState=last, restartCount=3, ready=False)
        return self

    def retrying(self, container: str) -> "PodBuilder":
        """A container that crashed runs again."""
        self._set(container, state={"running": {"startedAt": "2026-01-31T08:03:00Z"}})
        return self

    def failed(self, reason: str, message: str) -> "PodBuilder":
        """The kubelet refused or evicted the pod."""
        self.body["status"] = {"phase": "Failed", "reason": reason, "message": message}
        return self

    def deleting(self) -> "PodBuilder":
        """The pod is being deleted."""
        self.body["metadata"]["deletionTimestamp"] = READY_AT
        return self

    def build(self) -> Body:
        """The projected pod."""
        return project("Pod", copy.deepcopy(self.body))

    def _status(self, spec: Body, state: Body) -> Body:
        image = {"image": spec["image"], "imageID": ""}
        return {"name": spec["name"], "ready": False, "restartCount": 0, "state": state, "lastState": {}, **image}

    def _set(self, container: str, **fields: Any) -> None:
        statuses = self.body["status"]
        for entry in [*statuses.get("initContainerStatuses", []), *statuses.get("containerStatuses", [])]:
            if entry["name"] == container:
                entry.update(fields)

    def _condition(self, type_: str, status: str, time: str, **more: str) -> None:
        entry = {"type": type_, "status": status, "lastProbeTime": None, "lastTransitionTime": time, **more}
        conditions = self.body["status"].setdefault("conditions", [])
        conditions[:] = [other for other in conditions if other["type"] != type_] + [entry]


def make_pod(
    service: ModelService | None = None,
    name: str = "abcde",
    template_hash: str = "6d9f",
    profile: RuntimeProfile | None = None,
) -> PodBuilder:
    """A new pod of a ModelService's Deployment."""
    manifests = render_all(service or make_modelservice().build(), profile)
    template = next(manifest for manifest in manifests if manifest["kind"] == "Deployment")["spec"]["template"]
    return PodBuilder(template, name, template_hash)
