"""The cluster's DNS: CoreDNS in the node, behind the service `kube-dns` that every pod's resolver asks."""

import json
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError
from tests.cluster.state import State

_RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def upstream(files: tuple[Path, ...] = _RESOLVERS) -> Path:
    """The first resolver file whose servers a node can reach: a loopback address is another one in the node's network.

    Raises:
        ClusterError: there is none.
    """
    for file in files:
        servers = (
            [line.split()[1] for line in file.read_text().splitlines() if line.startswith("nameserver")]
            if file.exists()
            else []
        )
        if servers and not any(server.startswith("127.") or server == "::1" for server in servers):
            return file
    raise ClusterError(
        "/etc/resolv.conf: names loopback servers, which a node cannot reach; add one reachable over the network"
    )


def corefile(state: State, resolver: Path) -> str:
    """CoreDNS' configuration."""
    return f""".:53 {{
    errors
    health 127.0.0.1:8080
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {state.folder / "coredns.kubeconfig"}
        ttl 5
    }}
    forward . {resolver}
    cache 5
}}
"""


def manifests(state: State) -> str:
    """The service at the address that kubelets give to pods, its endpoint in the node, and CoreDNS' right to read."""
    labels = {
        "kubernetes.io/service-name": "kube-dns",
        "endpointslice.kubernetes.io/managed-by": "modelservice-cluster",
    }
    ports = [
        {"name": name, "port": 53, "protocol": protocol} for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"))
    ]
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    items: list[dict[str, Any]] = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": rules,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}],
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": state.dns_service, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "kube-dns-node", "namespace": "kube-system", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [state.node_address], "conditions": {"ready": True}}],
            "ports": ports,
        },
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
