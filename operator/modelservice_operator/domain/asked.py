"""What a spec says about pods, as a hash, so that a change of it is told apart from a change of everything else."""

import hashlib
import json
from typing import Final

from ..api.names import PREFLIGHT
from ..api.v1alpha1 import ModelService

_NOT_OF_PODS: Final[dict[str, bool | set[str]]] = {
    **dict.fromkeys(("replicas", "autoscaling", "suspend", "network", "availability"), True),
    **dict.fromkeys(("deletion_policy", "drift_policy", "revision_history_limit"), True),
    "observability": {"service_monitor", "prometheus_rule", "dashboard"},
    "rollout": {"strategy", "max_surge", "max_unavailable", "progress_deadline_seconds", "auto_rollback", "canary"},
}


def asked_digest(service: ModelService) -> str:
    """The hash of what a spec says about pods. A field that a newer version of the API adds does not change it."""
    said = service.spec.model_dump(mode="json", by_alias=True, exclude=_NOT_OF_PODS, exclude_defaults=True)
    asked = [said, service.metadata.annotations.get(PREFLIGHT, "")]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
