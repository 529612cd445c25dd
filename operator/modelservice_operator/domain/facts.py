"""What desired children depend on besides spec and profile, and what describes one child before it is rendered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..api.kinds import ChildKind


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known of a PersistentVolumeClaim."""

    name: str
    uid: str
    access_modes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about the cluster and the operator's own settings.

    `optional_kinds` are the names of the optional kinds that the cluster serves now; `operator_namespace` is where the
    operator runs; `prometheus_url` is where KEDA asks for metrics, empty when nobody has told. `activator` are the
    addresses of the activator's pods, None where it is not installed. `claim` is that of the cache of the ModelService
    at hand, None when it has none or the claim does not exist.
    """

    default_runtime_image: str
    image_pull_policy: str = "IfNotPresent"
    optional_kinds: frozenset[str] = frozenset()
    operator_namespace: str = "default"
    prometheus_url: str = ""
    activator: tuple[str, ...] | None = None
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child to be rendered: which template, and the values that fill it."""

    kind: ChildKind
    name: str
    template: str
    values: Mapping[str, Any]
