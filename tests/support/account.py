"""The operator's own account: the ServiceAccount, roles and bindings that the chart gives it, and logins with tokens.

Each login has a token of its own, so the audit log tells replicas apart by the token's id although they are one user.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import Cluster, ClusterError
from tests.support.polling import wait_until

ROOT = Path(__file__).parents[2]
NAMESPACE = "modelservice-system"
ACCOUNT = "modelservice-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
LEASE = "modelservice-operator"
"""The only Lease that the account may write."""

_RIGHTS = ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
_LASTS = "8h"


def install_account(cluster: Cluster) -> None:
    """Install the account with its rights as the plain manifests have them, and nothing that would run."""
    documents = yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text())
    rights = [each for each in documents if each and each["kind"] in _RIGHTS]
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": rights})
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=body)
    probe = ("auth", "can-i", "list", "modelservices.modelservice.dev", "--as", USER, "--all-namespaces")
    wait_until(lambda: _succeeds(cluster, *probe), "the account has its rights", 20)


def log_in(cluster: Cluster, file: Path, server: str = "") -> Path:
    """Write a kubeconfig with a fresh token of the account; `server` replaces the API server's address."""
    token = cluster.kubectl("create", "token", ACCOUNT, "--namespace", NAMESPACE, "--duration", _LASTS).strip()
    known = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    place: dict[str, Any] = {"server": server} if server.startswith("http:") else {**known, "server": server}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "operator",
        "clusters": [{"name": "operator", "cluster": place if server else known}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "operator", "context": {"cluster": "operator", "user": "operator"}}],
    }
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(document))
    return file


def drop_lease(cluster: Cluster) -> None:
    """Remove the Lease, so that the next replica leads with its first look."""
    cluster.kubectl("delete", "lease", LEASE, "--namespace", NAMESPACE, "--ignore-not-found")


def _succeeds(cluster: Cluster, *question: str) -> bool:
    try:
        cluster.kubectl(*question)
    except (ClusterError, subprocess.SubprocessError):
        return False
    return True
