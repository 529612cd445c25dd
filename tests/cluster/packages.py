"""Programs of the distribution that a node needs: what is missing is installed, with a line that says what and why."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError, ToolMissingError
from tests.cluster.progress import say, step


@dataclass(frozen=True)
class Need:
    """A program (or a file, when `program` is a path), the Debian package that has it, and what it is for."""

    program: str
    package: str
    reason: str


NODE = (
    Need("runc", "runc", "starts containers"),
    Need("/usr/lib/cni/ptp", "containernetworking-plugins", "connects pods"),
    Need("conntrack", "conntrack", "kube-proxy forgets connections of ended pods with it"),
    Need("nft", "nftables", "services and the node's way out"),
    Need("ip", "iproute2", "makes the node's link"),
    Need("unshare", "util-linux", "gives the node namespaces of its own"),
)
BASE_IMAGE = (Need("mmdebstrap", "mmdebstrap", "makes the base image, since no registry is asked"),)
PAUSE_IMAGE = (Need("gcc", "gcc libc6-dev", "compiles the pause program of the pods' sandboxes"),)


def is_there(need: Need) -> bool:
    """Whether the program is on this machine."""
    return Path(need.program).exists() if need.program.startswith("/") else shutil.which(need.program) is not None


def missing(needs: Iterable[Need], present: Callable[[Need], bool] = is_there) -> list[Need]:
    """Those that are not on this machine."""
    return [need for need in needs if not present(need)]


def install_command(needs: Iterable[Need]) -> list[str]:
    """The command that installs the packages of `needs`."""
    names = sorted({name for need in needs for name in need.package.split()})
    return ["apt-get", "install", "--yes", "--no-install-recommends", *names]


def ensure(needs: Iterable[Need]) -> None:
    """Install what is missing.

    Raises:
        ToolMissingError: something is missing and cannot be installed here: no apt-get, or not root.
        ClusterError: the installation failed.
    """
    absent = missing(needs)
    if not absent:
        return
    command = install_command(absent)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        names = ", ".join(f"{need.program} ({need.reason})" for need in absent)
        raise ToolMissingError(f"missing: {names}; as root on Debian: {' '.join(command)}")
    for need in absent:
        say(f"installing {need.package}: {need.reason}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"apt-get install {' '.join(command[4:])}"):
        for each in (["apt-get", "update"], command):
            done = subprocess.run(each, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ClusterError(
                    f"{' '.join(each)}: exit code {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-2000:]}"
                )
