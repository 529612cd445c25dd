"""The key of the work queue: one ModelService, wherever it is in its life."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelservice_operator.api.names import LABEL_NAME, LABEL_PREFLIGHT
from modelservice_operator.engine.cache import ObjectId
from modelservice_operator.kube.resources import CLAIM, MODEL_SERVICE, RUNTIME_PROFILE, Resource


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A ModelService by namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def id(self) -> ObjectId:
        """Where the ModelService is in the cache."""
        return ObjectId(MODEL_SERVICE.kind, self.namespace, self.name)


def parent_of(resource: Resource, metadata: Mapping[str, Any]) -> Key | None:
    """The ModelService that an object belongs to: itself, or the one that its label names; None for profiles
    and claims, which belong to many."""
    namespace = metadata.get("namespace", "")
    if resource.kind == MODEL_SERVICE.kind:
        return Key(namespace, metadata["name"])
    if resource.kind in (RUNTIME_PROFILE.kind, CLAIM.kind):
        return None
    labels = metadata.get("labels") or {}
    name = labels.get(LABEL_NAME) or labels.get(LABEL_PREFLIGHT)
    return Key(namespace, name) if name else None
