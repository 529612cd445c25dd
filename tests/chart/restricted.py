"""The restricted pod security standard as a list of violations, after the standard's own table."""

from collections.abc import Iterator
from typing import Any

_CLAIMS = {"csi", "ephemeral", "persistentVolumeClaim"}
VOLUMES = {"configMap", "downwardAPI", "emptyDir", "image", "projected", "secret", *_CLAIMS}
"""Image volumes came later than the table; a real API server admits them (`tests/e2e` serves from some)."""


def violations(pod: dict[str, Any]) -> Iterator[str]:
    """What of a pod's spec the standard forbids."""
    context = pod.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield key
    for volume in pod.get("volumes", []):
        if not VOLUMES & volume.keys():
            yield f"volume {volume['name']}"
    for container in (*pod.get("initContainers", []), *pod["containers"]):
        name, own = container["name"], container.get("securityContext", {})
        merged = context | own
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{name}: privilege escalation"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            yield f"{name}: capabilities"
        if merged.get("runAsNonRoot") is not True or merged.get("runAsUser") == 0:
            yield f"{name}: root"
        if merged.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: seccomp"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name}: host port"
