"""Names, labels and annotations that tie a ModelService to its children.

Every name here is derived from `metadata.name`, which the CRD holds to 45 characters, so that the longest child name
and every label value fit the 63 characters that Kubernetes allows for both.
"""

from typing import Final

GROUP: Final = "modelservice.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FIELD_MANAGER: Final = "modelservice-operator"

LABEL_NAME: Final = f"{GROUP}/name"
LABEL_PREFLIGHT: Final = f"{GROUP}/preflight"
"""Names the ModelService on the pods of a preflight, which must not have the label that selects the model's pods."""
LABEL_COLLECTOR: Final = f"{GROUP}/collects-for"
"""On a Job that empties a cache, and on its pods: the uid of the ModelService whose files it removes."""
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_APP: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
MANAGED_BY: Final = "modelservice-operator"
APP: Final = "modelservice"

DESIRED_HASH: Final = f"{GROUP}/desired-hash"
REVISION: Final = f"{GROUP}/revision"
"""Label of a pod template: the hash of the template, by which its pods are known."""
TRACK: Final = f"{GROUP}/track"
"""Label of the pods of a canary, whose value is `canary`."""
CANARY: Final = "canary"
STABLE: Final = "stable"
CANARY_STAGE: Final = f"{GROUP}/canary-stage"
"""On the Deployment of a canary that is promoted by steps: how far it is, as JSON."""
SETTINGS: Final = f"{GROUP}/settings"
"""Annotation of a pod template: the settings file of the server, which is mounted from there."""
METRICS: Final = f"{GROUP}/metrics"
"""Annotation of a pod whose server is of another make: port and path of its metrics, such as 8000/metrics."""
VERIFIED_TEMPLATE: Final = f"{GROUP}/verified-template"
"""On a Deployment: the pod template that last served with all its replicas, as JSON."""
TAKEN_BACK: Final = f"{GROUP}/taken-back"
"""On a Deployment: the revision that failed and was replaced by the verified one, and why, as JSON."""
ASKED: Final = f"{GROUP}/asked"
"""On a Deployment: the hash of what the spec of its ModelService says about pods."""
KEPT_TEMPLATE: Final = f"{GROUP}/kept-template"
"""On a Deployment: the pod template that it keeps although there is a newer one, and what the newer one is, as JSON."""
TAKE_TEMPLATE: Final = f"{GROUP}/take-template"
"""On a ModelService, written by people: the revision of the pod template that its pods are to take."""
WAVE: Final = f"{GROUP}/wave"
"""On a Deployment: the revision of the pod template that it took when its turn had come."""
IDLE: Final = f"{GROUP}/idle"
"""On a Deployment: its service has no replica because no requests came."""
PREFLIGHT: Final = f"{GROUP}/preflight"
"""On a ModelService, written by people: `skip`, or any other text, which asks for a new preflight whenever it changes.
On a Deployment, written by the operator: what the preflight of its pods found, as JSON."""

SERVER_CONTAINER: Final = "server"
FETCH_CONTAINER: Final = "fetch"
PREFLIGHT_CONTAINER: Final = "preflight"
COLLECT_CONTAINER: Final = "collect"

NODE_CACHE_CLAIM: Final = "modelservice-node-cache"
"""PersistentVolumeClaim through which the pods of a namespace see the cache of their node."""

NAME_MAX_LENGTH: Final = 45
CHILD_NAME_MAX_LENGTH: Final = 63

_DASHBOARD_SUFFIX: Final = "-dashboard"


def fetch_container(number: int) -> str:
    """The init container that fetches the model (0), or the adapter of that number."""
    return f"{FETCH_CONTAINER}-adapter-{number}" if number else FETCH_CONTAINER


def is_fetch_container(name: str) -> bool:
    """Whether an init container fetches the model or an adapter."""
    return name == FETCH_CONTAINER or name.startswith(f"{FETCH_CONTAINER}-adapter-")


def child_name(kind: str, name: str) -> str:
    """Name of the child of that kind (`ConfigMap`, `Deployment`, ...) of the ModelService called `name`."""
    return dashboard_name(name) if kind == "ConfigMap" else name


def dashboard_name(name: str) -> str:
    """Name of the ConfigMap with the dashboard of the ModelService called `name`."""
    return f"{name}{_DASHBOARD_SUFFIX}"


def preflight_name(name: str, digest: str) -> str:
    """Name of the Job that looks at the model of the ModelService called `name`; `digest` has 6 characters."""
    return f"{name}-preflight-{digest}"


def preflight_labels(name: str) -> dict[str, str]:
    """Labels of the pods of a preflight: ours, and none of a Service, a budget or a policy selects them."""
    return {LABEL_APP: APP, LABEL_INSTANCE: name, LABEL_MANAGED_BY: MANAGED_BY, LABEL_PREFLIGHT: name}


def door_name(name: str, family: str) -> str:
    """Name of the EndpointSlice that leads from a ModelService's Service to the activator, by family of addresses."""
    return f"{name}-activator" if family == "IPv4" else f"{name}-activator-{family.lower()}"


def collector_name(name: str, digest: str) -> str:
    """Name of a Job that empties a cache after the ModelService called `name`; `digest` has 6 characters."""
    return f"{name}-collect-{digest}"


def collector_labels(name: str, uid: str) -> dict[str, str]:
    """Labels of the pods that empty a cache: none of a Service, a budget or a policy selects them."""
    return {LABEL_APP: APP, LABEL_INSTANCE: name, LABEL_MANAGED_BY: MANAGED_BY, LABEL_COLLECTOR: uid}


def track_name(name: str, track: str) -> str:
    """Name of the canary's Deployment, and of the Service of one track, of the ModelService called `name`."""
    return f"{name}-{track}"


def selector_labels(name: str) -> dict[str, str]:
    """Labels that select the pods of a ModelService; they never change, because a Deployment's selector cannot."""
    return {LABEL_NAME: name}


def child_labels(name: str) -> dict[str, str]:
    """Labels of every child, and of the pods, of the ModelService called `name`."""
    return {LABEL_APP: APP, LABEL_INSTANCE: name, LABEL_MANAGED_BY: MANAGED_BY, LABEL_NAME: name}


def selector_string(name: str) -> str:
    """The pod selector as one string, as `status.selector` and the scale subresource carry it."""
    return ",".join(f"{key}={value}" for key, value in selector_labels(name).items())


def service_url(name: str, namespace: str, port: int = 80) -> str:
    """The address of the ModelService inside the cluster."""
    suffix = "" if port == 80 else f":{port}"
    return f"http://{name}.{namespace}.svc{suffix}"
