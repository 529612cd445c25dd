"""The programs of a cluster, built from two locked Go modules, once for each version of the locks.

Results live in `$MODELSERVICE_CACHE/bin/DIGEST`, the digest being over everything that decides about the result. Only
what the job at hand needs is built, all of it in one `go build` for each module, since packages are shared. An
interrupted build goes on where it was: Go's own cache keeps the packages, and finished programs are moved into place
one by one. A lock keeps two builds from sharing the cores.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.cluster.errors import ClusterError, ToolMissingError
from tests.cluster.progress import say
from tests.cluster.state import cache_root, locked

_GO = Path(__file__).parent / "go"
_LINE_EVERY = 10.0

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODE = (
    *CONTROL_PLANE,
    "kubelet",
    "kube-proxy",
    "coredns",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "buildkitd",
    "buildctl",
)


@dataclass(frozen=True)
class Module:
    """One Go module: its programs with the packages they are built from, and the tags of the build."""

    folder: str
    programs: dict[str, str]
    tags: str = ""

    def digest(self) -> str:
        """Identifies the programs that the module's sources and locks give."""
        content = hashlib.sha256(repr((sorted(self.programs.items()), self.tags, self.flags())).encode())
        for file in sorted((_GO / self.folder).rglob("*")):
            if file.is_file():
                content.update(str(file.relative_to(_GO)).encode() + b"\0" + file.read_bytes() + b"\0")
        return content.hexdigest()

    def flags(self) -> list[str]:
        """The flags of `go build`."""
        tags = ["-tags", self.tags] if self.tags else []
        return ["-trimpath", *tags, "-ldflags", f"-s -w {self._version_flags()}".strip()]

    def _version_flags(self) -> str:
        locked_version = re.search(
            r"k8s\.io/kubernetes v(\d+)\.(\d+)\.(\d+)", (_GO / self.folder / "go.mod").read_text()
        )
        if locked_version is None:
            return ""
        major, minor, patch = locked_version.groups()
        values = {
            "gitVersion": f"v{major}.{minor}.{patch}",
            "gitMajor": major,
            "gitMinor": minor,
            "gitTreeState": "clean",
            "gitCommit": "local",
        }
        return " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())


_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
MODULES = (
    Module(
        "kubernetes",
        {
            **{name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES},
            "etcd": "./etcd",
            "coredns": "./coredns",
            "helm": "helm.sh/helm/v4/cmd/helm",
            "kind": "sigs.k8s.io/kind",
            "kwok": "sigs.k8s.io/kwok/cmd/kwok",
        },
    ),
    Module(
        "containers",
        {
            **{
                name: f"github.com/containerd/containerd/v2/cmd/{name}"
                for name in ("containerd", "containerd-shim-runc-v2", "ctr")
            },
            **{name: f"github.com/moby/buildkit/cmd/{name}" for name in ("buildctl", "buildkitd")},
        },
        tags="no_btrfs no_devmapper no_zfs",
    ),
)


@cache
def folder() -> Path:
    """The folder of the programs for the locks of this checkout."""
    combined = hashlib.sha256("".join(module.digest() for module in MODULES).encode()).hexdigest()
    return cache_root() / "bin" / combined[:16]


def ensure(names: Iterable[str]) -> Path:
    """Build the named programs that are missing.

    Returns:
        The folder that holds them.

    Raises:
        ToolMissingError: there is no Go, or a name is no program of the two modules.
        ClusterError: a build failed.
    """
    wanted = list(names)
    unknown = sorted(set(wanted) - {name for module in MODULES for name in module.programs})
    if unknown:
        known = ", ".join(sorted(name for module in MODULES for name in module.programs))
        raise ToolMissingError(f"tool: no {', '.join(unknown)} here; there are {known}")
    if not missing(wanted):
        return folder()
    with locked("go-build", timeout=3600):
        for module in MODULES:
            todo = [name for name in missing(wanted) if name in module.programs]
            if todo:
                _build(module, todo)
    return folder()


def missing(names: Iterable[str]) -> list[str]:
    """Those of the programs that are not built yet."""
    return [name for name in names if not (folder() / name).exists()]


def environment() -> dict[str, str]:
    """The environment of `go`: its caches beside ours, no C compiler."""
    caches = {"GOMODCACHE": str(module_cache()), "GOCACHE": str(cache_root() / "go" / "build")}
    return {**os.environ, **caches, "CGO_ENABLED": "0", "GOWORK": "off"}


def module_cache() -> Path:
    """Where Go keeps downloaded modules."""
    return cache_root() / "go" / "mod"


def go_program() -> str:
    """The path of `go`.

    Raises:
        ToolMissingError: there is none.
    """
    found = shutil.which("go")
    if found is None:
        raise ToolMissingError(
            "go: not found, and without a Docker engine the cluster's programs are built from source;"
            " install Go 1.24 or newer (https://go.dev/dl, or `apt-get install golang`),"
            " which fetches the exact version that go.mod names by itself"
        )
    return found


def _build(module: Module, names: list[str]) -> None:
    go, started = go_program(), time.monotonic()
    packages = [module.programs[name] for name in names]
    say(f"building {', '.join(names)} from source, once: no Docker engine is used here")
    count = _count_packages(go, module, packages)
    partial = folder() / ".building"
    partial.mkdir(parents=True, exist_ok=True)
    command = [go, "build", "-v", *module.flags(), "-o", f"{partial}/", *packages]
    with subprocess.Popen(
        command, cwd=_GO / module.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        end = _follow(process, count, started)
    if process.returncode:
        raise ClusterError(
            f"go build in {_GO / module.folder} failed with exit code {process.returncode}:\n" + "\n".join(end)
        )
    for name in names:
        (partial / name).replace(folder() / name)
    say(f"built {len(names)} programs in {time.monotonic() - started:.0f} s, kept in {folder()}")


def _count_packages(go: str, module: Module, packages: list[str]) -> int:
    listing = subprocess.run(
        [go, "list", "-deps", *module.flags(), *packages],
        cwd=_GO / module.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        raise ClusterError(f"go list in {_GO / module.folder} failed:\n{listing.stderr[-2000:]}")
    return len(listing.stdout.splitlines())


def _follow(process: "subprocess.Popen[str]", count: int, started: float) -> list[str]:
    """Show how far the build is, and return the last lines it printed."""
    compiled, last, told = 0, [""] * 0, 0.0
    for line in process.stdout or ():
        last = [*last[-20:], line.rstrip()]
        compiled += 1
        now = time.monotonic()
        if sys.stderr.isatty():
            print(
                f"\r  {compiled} packages compiled of at most {count}, {now - started:.0f} s\033[K",
                end="",
                file=sys.stderr,
                flush=True,
            )
        elif now - told > _LINE_EVERY:
            told = now
            say(f"{compiled} packages compiled of at most {count}, {now - started:.0f} s")
    if sys.stderr.isatty() and compiled:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return last
