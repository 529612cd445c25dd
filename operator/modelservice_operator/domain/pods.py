"""The pods of one ModelService, sorted: those of the revision that is rolled out, and those of earlier ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..api.names import CANARY, FETCH_CONTAINER, REVISION, TRACK
from .diagnose import Diagnosis, LastWord, diagnose, read_last_word
from .tree import Tree, branch, items, number, text

TEMPLATE_HASH: Final = "pod-template-hash"
"""Label that the Deployment controller gives the pods of one ReplicaSet."""


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods that count, the newest first: none that is being deleted, and none that ended and has a successor."""

    current: tuple[Tree, ...] = ()
    earlier: tuple[Tree, ...] = ()

    @property
    def revision(self) -> str:
        """The hash of the current revision's pod template; empty while it has no pods."""
        return text(self.current[0], "metadata", "labels", TEMPLATE_HASH) if self.current else ""

    @property
    def ready(self) -> int:
        """How many pods of the current revision are ready."""
        return sum(map(is_ready, self.current))

    @property
    def earlier_ready(self) -> int:
        """How many pods of earlier revisions still serve."""
        return sum(map(is_ready, self.earlier))

    def failures(self) -> list[tuple[Tree, Diagnosis]]:
        """The failing pods of the current revision."""
        diagnosed = ((pod, diagnose(pod)) for pod in self.current)
        return [(pod, found) for pod, found in diagnosed if found is not None]


def sort_pods(pods: Sequence[Tree], deployment: Tree) -> Pods:
    """Sort pods by whether they have what the Deployment's template has now."""
    alive = sorted(filter(_counts, pods), key=_age_key, reverse=True)
    matching = [pod for pod in alive if _matches(pod, branch(deployment, "spec", "template"))]
    newest = text(matching[0], "metadata", "labels", TEMPLATE_HASH) if matching else ""
    current = [pod for pod in matching if text(pod, "metadata", "labels", TEMPLATE_HASH) == newest]
    running = [pod for pod in current if not _has_ended(pod)]
    earlier = [pod for pod in alive if all(pod is not other for other in current) and not _has_ended(pod)]
    return Pods(tuple(running or current), tuple(earlier))


def is_of_canary(pod: Tree) -> bool:
    """Whether a pod is of a canary."""
    return text(pod, "metadata", "labels", TRACK) == CANARY


def newest_ready(pods: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The newest of the pods that are ready, whose runtime is asked how it started."""
    return max((pod for pod in pods if is_ready(pod) and not is_of_canary(pod)), key=_age_key, default=None)


def is_ready(pod: Tree) -> bool:
    """Whether the pod serves: ready and not being deleted."""
    if text(pod, "metadata", "deletionTimestamp"):
        return False
    return text(condition(pod, "Ready"), "status") == "True"


def is_placed(pod: Tree) -> bool:
    """Whether the pod has a node."""
    return bool(text(pod, "spec", "nodeName"))


def missing_claims(pod: Tree) -> list[str]:
    """What the scheduler waits for, in words, before it looks at a pod at all: ResourceClaims that may not exist yet.

    It says nothing of them in the pod's status.
    """
    if is_placed(pod) or condition(pod, "PodScheduled"):
        return []
    made = {text(entry, "name") for entry in items(pod, "status", "resourceClaimStatuses")}
    claims = [claim for claim in items(pod, "spec", "resourceClaims") if text(claim, "name") not in made]
    templates = filter(None, (text(claim, "resourceClaimTemplateName") for claim in claims))
    named = filter(None, (text(claim, "resourceClaimName") for claim in claims))
    return [f"one from the ResourceClaimTemplate {name}" for name in templates] or list(named)


def condition(body: Tree, type_: str) -> Tree:
    """A condition of an object's status; empty when it has none of that type."""
    return next((entry for entry in items(body, "status", "conditions") if text(entry, "type") == type_), {})


def container_status(pod: Tree, name: str) -> Tree:
    """The status of a container or init container."""
    statuses = [*items(pod, "status", "initContainerStatuses"), *items(pod, "status", "containerStatuses")]
    return next((entry for entry in statuses if text(entry, "name") == name), {})


def fetch_result(pod: Tree) -> LastWord | None:
    """What a fetch that ended well has left behind."""
    ended = branch(container_status(pod, FETCH_CONTAINER), "state", "terminated")
    return read_last_word(text(ended, "message")) if ended and number(ended, "exitCode") == 0 else None


def has_fetched(pod: Tree) -> bool:
    """Whether the fetch container has ended well."""
    ended = branch(container_status(pod, FETCH_CONTAINER), "state", "terminated")
    return bool(ended) and number(ended, "exitCode") == 0


def _counts(pod: Tree) -> bool:
    return not text(pod, "metadata", "deletionTimestamp")


def _has_ended(pod: Tree) -> bool:
    return text(pod, "status", "phase") in ("Failed", "Succeeded")


def _age_key(pod: Tree) -> tuple[str, str]:
    return text(pod, "metadata", "creationTimestamp"), text(pod, "metadata", "name")


def _matches(pod: Tree, template: Tree) -> bool:
    """Whether a pod comes from the template."""
    return revision_of(pod) == revision_of(template)


def revision_of(body: Tree) -> str:
    """The revision that a pod, or a pod template, says that it is of."""
    return text(body, "metadata", "labels", REVISION)
