"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler as plain processes of this machine.

etcd runs without fsync: a test cluster does not outlive its machine. The request limits of the controller manager and
the scheduler are raised, or they and not the operator would be what a scale test measures. Without a kubelet all nodes
are simulated, and none counts as lost because whoever plays it was late.
"""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from tests.cluster import process
from tests.cluster.progress import step
from tests.cluster.state import State

PORTS = ("etcd", "etcd-peer", "api", "controller-manager", "scheduler")
_WRITES = ["create", "update", "patch", "delete", "deletecollection"]


def audit_policy() -> dict[str, object]:
    """Every write of everybody with its metadata, and the reads of those accounts that are no part of Kubernetes."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "verbs": _WRITES},
            {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
            {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
            {"level": "None"},
        ],
    }


def start_control_plane(state: State, programs: Path) -> None:
    """Start the four and wait until they serve.

    Raises:
        ProcessDiedError: one of them ended.
        ClusterError: they are not ready in time.
    """
    (state.folder / "audit-policy.json").write_text(json.dumps(audit_policy()))
    with step("etcd and kube-apiserver"):
        start_part(state, programs, "etcd")
        start_part(state, programs, "kube-apiserver")
        client = ApiProbe(state)
        process.wait_until(state, "kube-apiserver", lambda: client.answers("/readyz"), 120, ["kube-apiserver", "etcd"])
    with step("controllers and scheduler"):
        start_part(state, programs, "kube-controller-manager")
        start_part(state, programs, "kube-scheduler")
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        process.wait_until(
            state, "kube-controller-manager", lambda: client.answers(account), 60, ["kube-controller-manager"]
        )
        lease = "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt"
        process.wait_until(
            state, "kube-controller-manager", lambda: client.answers(lease), 60, ["kube-controller-manager"]
        )


def start_part(state: State, programs: Path, name: str) -> None:
    """Start one of the four, again if it was there before.

    Raises:
        ClusterError: the program is not there.
    """
    commands = {
        "etcd": _etcd,
        "kube-apiserver": _api_server,
        "kube-controller-manager": _controller_manager,
        "kube-scheduler": _scheduler,
    }
    process.start(state, name, commands[name](state, programs))


class ApiProbe:
    """Asks the API server as the administrator, with the standard library alone."""

    def __init__(self, state: State) -> None:
        self._server = state.server_url
        folder = state.folder / "pki"
        self._tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._tls.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
        )

    def answers(self, path: str, timeout: float = 2.0) -> bool:
        """Whether the path is answered with success."""
        return self.get(path, timeout) is not None

    def get(self, path: str, timeout: float = 2.0) -> bytes | None:
        """The body of the answer; None when there is no successful one."""
        try:
            with self._opener.open(self._server + path, timeout=timeout) as answer:
                body: bytes = answer.read()
                return body
        except (urllib.error.URLError, OSError):
            return None


def _etcd(state: State, programs: Path) -> list[str]:
    client, peer = (f"http://127.0.0.1:{state.ports[name]}" for name in ("etcd", "etcd-peer"))
    return [
        str(programs / "etcd"),
        f"--data-dir={state.folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=4294967296",
        "--log-level=warn",
    ]


def _api_server(state: State, programs: Path) -> list[str]:
    pki = state.folder / "pki"
    alone = ["--endpoint-reconciler-type=none"] if state.mode == "control-plane" else []
    return [
        str(programs / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{state.ports['etcd']}",
        f"--bind-address={state.api_address}",
        f"--advertise-address={state.api_address}",
        f"--secure-port={state.ports['api']}",
        *alone,
        f"--service-cluster-ip-range={state.services}",
        f"--tls-cert-file={pki / 'api.crt'}",
        f"--tls-private-key-file={pki / 'api.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--service-account-key-file={pki / 'accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'accounts.key'}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki / 'front-proxy.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy.key'}",
        "--enable-aggregator-routing=true",
        f"--audit-policy-file={state.folder / 'audit-policy.json'}",
        f"--audit-log-path={state.audit_log}",
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=10000",
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=1000",
    ]


def _clients(state: State, name: str) -> list[str]:
    config = state.folder / f"{name}.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={state.ports[name]}",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def _controller_manager(state: State, programs: Path) -> list[str]:
    pki = state.folder / "pki"
    nodes = (
        ["--allocate-node-cidrs", f"--cluster-cidr={state.pods}", "--node-cidr-mask-size=23"]
        if state.mode == "node"
        else ["--node-monitor-grace-period=24h"]
    )
    return [
        str(programs / "kube-controller-manager"),
        *_clients(state, "controller-manager"),
        f"--service-account-private-key-file={pki / 'accounts.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        "--use-service-account-credentials",
        "--horizontal-pod-autoscaler-sync-period=5s",
        *nodes,
    ]


def _scheduler(state: State, programs: Path) -> list[str]:
    return [str(programs / "kube-scheduler"), *_clients(state, "scheduler")]
