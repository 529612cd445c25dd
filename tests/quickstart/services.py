"""Watching ModelServices from outside: apply, wait for a condition, say what is happening meanwhile."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster import Cluster


def apply(cluster: Cluster, *files: Path) -> None:
    """Apply the manifests with the user's own verb, `kubectl apply`."""
    for file in files:
        cluster.kubectl("apply", "-f", str(file))


def read(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    """The ModelService as the API server has it."""
    found: dict[str, Any] = json.loads(cluster.kubectl("get", "msvc", name, "-n", namespace, "-o", "json"))
    return found


def condition(service: dict[str, Any], kind: str = "Ready") -> dict[str, Any]:
    """The condition `kind`, empty when the operator has not stated it, or stated it for an older generation."""
    status = service.get("status", {})
    if status.get("observedGeneration") != service["metadata"]["generation"]:
        return {}
    return next((c for c in status.get("conditions", []) if c["type"] == kind), {})


def is_ready(service: dict[str, Any]) -> bool:
    """Ready, for the generation that the user asked for."""
    return condition(service).get("status") == "True"


def has_reason(reason: str) -> Callable[[dict[str, Any]], bool]:
    """A predicate: not ready, and for `reason`."""
    return lambda service: condition(service).get("status") == "False" and condition(service).get("reason") == reason


def wait_for(
    cluster: Cluster,
    namespace: str,
    name: str,
    predicate: Callable[[dict[str, Any]], bool],
    timeout: float = 180.0,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The ModelService once `predicate` holds; every change of its Ready condition is told through `say`.

    Args:
        timeout: seconds.

    Raises:
        TimeoutError: with the last status, so that the reason is in the message.
    """
    deadline = time.monotonic() + timeout
    told = ""
    while True:
        service = read(cluster, namespace, name)
        if predicate(service):
            return service
        ready = condition(service)
        line = f"{name}: {ready.get('reason', 'waiting for the operator')}: {ready.get('message', '')}".rstrip(": ")
        if line != told:
            say(line)
            told = line
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{namespace}/{name} after {timeout:.0f} s: {json.dumps(service.get('status'), indent=1)}"
            )
        time.sleep(0.2)
