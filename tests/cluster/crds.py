"""The real CRDs of other projects, by name: fetched as Go modules, verified against the hashes here.

Go's module cache is the download cache, and a module's `h1:` hash covers all its files, so one line locks a project's
CRDs.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import binaries
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say


@dataclass(frozen=True)
class Source:
    """Where CRDs come from: a module, its version and hash, and in it a file, or a folder that kustomize renders."""

    module: str
    version: str
    sum: str
    path: str


_PROMETHEUS = (
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
)
SOURCES = {
    "servicemonitor": Source(
        *_PROMETHEUS, "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"
    ),
    "prometheusrule": Source(
        *_PROMETHEUS, "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"
    ),
    "gateway-api": Source(
        "sigs.k8s.io/gateway-api", "v1.6.3", "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=", "config/crd"
    ),
    "keda": Source(
        "github.com/kedacore/keda/v2", "v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=", "config/crd"
    ),
}
NAMES = tuple(SOURCES)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def manifests(name: str) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions called `name`.

    Raises:
        ClusterError: the name is unknown, or the download failed or has other content than locked.
    """
    if name not in SOURCES:
        raise ClusterError(f"install-crds: {name!r} is unknown; there are {', '.join(NAMES)}")
    source = SOURCES[name]
    path = _download(source) / source.path
    documents = yaml.load_all(_kustomize(path) if path.is_dir() else path.read_text(), Loader=_LOADER)
    found = [document for document in documents if document and document["kind"] == "CustomResourceDefinition"]
    if not found:
        raise ClusterError(
            f"install-crds: {source.module}@{source.version} has no CustomResourceDefinition in {source.path}"
        )
    return found


def _kustomize(folder: Path) -> str:
    kubectl = binaries.ensure(["kubectl"]) / "kubectl"
    done = subprocess.run([str(kubectl), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"install-crds: kustomize {folder}: {done.stderr.strip()}")
    return done.stdout


def _download(source: Source) -> Path:
    folder = binaries.module_cache() / f"{_escape(source.module)}@{source.version}"
    if not folder.is_dir():
        say(f"fetching {source.module}@{source.version}, for its CRDs")
    done = subprocess.run(
        [binaries.go_program(), "mod", "download", "-json", f"{source.module}@{source.version}"],
        env=binaries.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(done.stdout or "{}")
    if done.returncode or "Dir" not in answer:
        raise ClusterError(
            f"install-crds: {source.module}@{source.version}: {answer.get('Error') or done.stderr.strip()}"
        )
    if answer["Sum"] != source.sum:
        raise ClusterError(
            f"install-crds: {source.module}@{source.version} was changed: locked is {source.sum}, got {answer['Sum']}"
        )
    return Path(answer["Dir"])


def _escape(module: str) -> str:
    return "".join(f"!{letter.lower()}" if letter.isupper() else letter for letter in module)
