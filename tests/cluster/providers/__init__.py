"""Where a cluster comes from: processes of this machine, kind, or one that exists already."""

import os
import shutil
import subprocess

from tests.cluster.errors import ClusterError

PROVIDERS = ("local", "kind", "existing")


def engine_answers() -> bool:
    """Whether a Docker-compatible engine runs. A client without an engine is common, so the engine itself is asked."""
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except (subprocess.TimeoutExpired, OSError):
        return False


def choose_provider(mode: str) -> str:
    """The provider for a new cluster: `MODELSERVICE_CLUSTER`, else kind when an engine answers, else local processes.

    A control plane without a node is always made of local processes: kind has no such thing.

    Raises:
        ClusterError: the variable names no provider.
    """
    given = os.environ.get("MODELSERVICE_CLUSTER", "")
    if given and given not in PROVIDERS:
        raise ClusterError(
            f"MODELSERVICE_CLUSTER: {given!r} is no provider; set one of {', '.join(PROVIDERS)}, or unset it"
        )
    if given == "existing":
        return given
    if mode == "control-plane":
        return "local"
    return given or ("kind" if engine_answers() else "local")
