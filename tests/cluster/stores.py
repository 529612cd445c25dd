"""Image stores: containerd's and BuildKit's folders, kept when a cluster goes, and leased by the next.

A store belongs to at most one cluster. The next cluster, whatever its name, takes the first store that is free, so
images and build caches are found again without any export or import. What a killed cluster left in it besides images
(containers, sandboxes and their snapshots) is removed when the store is taken.
"""

import subprocess
from pathlib import Path

from tests.cluster import process
from tests.cluster.errors import ClusterError
from tests.cluster.state import State, all_states, cache_root, locked

NAMESPACE = "k8s.io"
_IMAGE_VOLUME = "/image-volumes/"


def lease(state: State) -> Path:
    """Take the first store that no other cluster has, and record it."""
    with locked("allocate"):
        taken = {other.store for other in all_states() if other.name != state.name}
        numbered = (cache_root() / "stores" / str(number) for number in range(1, 1000))
        folder = next(store for store in numbered if str(store) not in taken)
        folder.mkdir(parents=True, exist_ok=True)
        state.store = str(folder)
        state.save()
    return folder


def ctr(state: State, programs: Path, *args: str) -> str:
    """Run containerd's own client in the kubelet's namespace and return what it prints.

    Raises:
        ClusterError: it failed; the message has its words.
    """
    command = [str(programs / "ctr"), "--address", f"{state.run_dir}/containerd.sock", "--namespace", NAMESPACE, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        end = process.tail(process.log_file(state, "containerd"))
        raise ClusterError(f"ctr {' '.join(args)}: {done.stderr.strip()}\nthe end of containerd's log:\n{end}")
    return done.stdout


def sweep(state: State, programs: Path) -> None:
    """Remove containers and image volumes, with their snapshots, and sandboxes that the last cluster left in the store.

    Everything else belongs to images and to the builder's cache.

    Raises:
        ClusterError: containerd refuses.
    """
    containers = ctr(state, programs, "containers", "list", "--quiet").split()
    if containers:
        ctr(state, programs, "containers", "delete", *containers)
    sandboxes = [line.split()[0] for line in ctr(state, programs, "sandboxes", "list").splitlines()[1:] if line.split()]
    for sandbox in sandboxes:
        ctr(state, programs, "sandboxes", "remove", "--force", sandbox)
    rows = [line.split() for line in ctr(state, programs, "snapshots", "list").splitlines()[1:]]
    volumes = [row[0] for row in rows if row and _IMAGE_VOLUME in row[0]]
    if volumes:
        ctr(state, programs, "snapshots", "remove", *volumes)


def images(state: State, programs: Path) -> dict[str, str]:
    """The images of the store: each name with the digest of its content."""
    rows = [line.split() for line in ctr(state, programs, "images", "list").splitlines()[1:]]
    return {row[0]: next(word for word in row if word.startswith("sha256:")) for row in rows if len(row) > 2}
