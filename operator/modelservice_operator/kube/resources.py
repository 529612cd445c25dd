"""The kinds that the operator talks about, with what a URL needs.

One small registry, so that no call ever needs discovery.
"""

from dataclasses import dataclass
from typing import Final

from modelservice_operator.api import names
from modelservice_operator.api.kinds import CHILD_KINDS, ChildKind


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind. `selector` limits what is listed and watched, on the server's side; `optional` kinds may be absent.

    `fields` is a field selector, for lists alone.
    """

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool = True
    selector: str = ""
    optional: bool = False
    fields: str = ""

    @property
    def api_path(self) -> str:
        """URL path of the group and version."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "") -> str:
        """URL path of one object, of a namespace's collection, or of the whole collection."""
        parts = [self.api_path]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        return "/".join([*parts, name] if name else parts)


OURS: Final = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"

MODEL_SERVICE: Final = Resource("ModelService", names.GROUP, names.VERSION, "modelservices")
RUNTIME_PROFILE: Final = Resource("RuntimeProfile", names.GROUP, names.VERSION, "runtimeprofiles", namespaced=False)
POD: Final = Resource("Pod", "", "v1", "pods", selector=OURS)
WARNING_EVENT: Final = Resource("Event", "", "v1", "events", fields="type=Warning")
CLAIM: Final = Resource("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims")
"""Belongs to users and has no label of ours: read by name where a ModelService names one, never listed."""
LEASE: Final = Resource("Lease", "coordination.k8s.io", "v1", "leases")


def child_resource(kind: ChildKind) -> Resource:
    """The resource of a child kind, limited to the children that are ours."""
    selector = ",".join(filter(None, (OURS, kind.selector)))
    return Resource(kind.kind, kind.group, kind.version, kind.plural, selector=selector, optional=kind.optional)


CHILDREN: Final = tuple(child_resource(kind) for kind in CHILD_KINDS)
WATCHED: Final = (MODEL_SERVICE, RUNTIME_PROFILE, *CHILDREN, POD)
BY_KIND: Final = {resource.kind: resource for resource in WATCHED}
