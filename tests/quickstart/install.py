"""Installing the operator with Helm into a namespace that enforces the restricted pod security standard."""

import json
from pathlib import Path

from tests.cluster import Cluster
from tests.quickstart.images import OPERATOR_IMAGE, ROOT, RUNTIME_IMAGE

RELEASE = "modelservice"
NAMESPACE = "modelservice-system"
CHART = ROOT / "charts" / "modelservice"
VALUES = ROOT / "manifests" / "demo" / "values.yaml"

RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}


def ensure_namespace(cluster: Cluster, name: str) -> None:
    """Create or keep the namespace `name`, enforcing restricted pod security."""
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}
    cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(manifest))


def install_operator(cluster: Cluster, *options: str, chart: Path = CHART, image: str = OPERATOR_IMAGE) -> None:
    """Install or upgrade the chart, with more of Helm's options if given, and wait until both replicas are available.

    An unchanged chart with an unchanged image keeps its pods: the image's digest is part of the pod template.
    """
    ensure_namespace(cluster, NAMESPACE)
    repository, _, tag = image.rpartition(":")
    cluster.helm(
        "upgrade",
        "--install",
        RELEASE,
        str(chart),
        "--namespace",
        NAMESPACE,
        "--values",
        str(VALUES),
        "--set",
        f"image.repository={repository},image.tag={tag}",
        "--set",
        f"runtime.image={RUNTIME_IMAGE}",
        "--set-string",
        f"podAnnotations.modelservice\\.dev/image-digest={cluster.image_digest(image)}",
        *options,
    )
    cluster.kubectl("rollout", "status", f"deployment/{RELEASE}-operator", "-n", NAMESPACE, "--timeout=120s")
