"""What a cluster is made of, on disk: the file in which `down` and a later `up` find everything that was made.

A cluster's folder is `$MODELSERVICE_CACHE/clusters/NAME`; its `state.json` is written before a thing is made rather
than after, so that an interruption at any point leaves a list that is complete (it may name things that do not exist
yet, which removing tolerates). Locks are `flock`s beside the folders: the kernel drops them when their holder dies,
so no stale lock ever has to be judged.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.progress import say

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def cache_root() -> Path:
    """The folder that outlives checkouts: `MODELSERVICE_CACHE`, or `modelservice` in the user's cache folder."""
    given = os.environ.get("MODELSERVICE_CACHE")
    if given:
        return Path(given).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "modelservice"


def clusters_root() -> Path:
    """The folder that holds one folder for each cluster."""
    return cache_root() / "clusters"


@dataclass(frozen=True)
class Child:
    """A process that the harness started: its id, and when the kernel says it began (clock ticks after boot).

    Both together identify a process: a recycled id has another start.
    """

    name: str
    pid: int
    started: int


@dataclass
class State:
    """Everything that one cluster of provider `local` consists of."""

    name: str
    mode: str
    slot: int
    ports: dict[str, int]
    token: str
    children: list[Child] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    cgroups: list[str] = field(default_factory=list)
    run_dir: str = ""
    store: str = ""
    ready: bool = False

    @property
    def folder(self) -> Path:
        """The cluster's own folder."""
        return clusters_root() / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON event a line."""
        return self.folder / "log" / "audit.log"

    @property
    def api_address(self) -> str:
        """The address that the API server listens on: loopback, or the host's end of the node's uplink."""
        return self.host_address if self.mode == "node" else "127.0.0.1"

    @property
    def server_url(self) -> str:
        """The API server's URL."""
        return f"https://{self.api_address}:{self.ports['api']}"

    @property
    def host_address(self) -> str:
        """The host's end of the node's uplink: where pods reach this machine."""
        return f"10.{self.slot}.16.1"

    @property
    def node_address(self) -> str:
        """The node's end of the uplink."""
        return f"10.{self.slot}.16.2"

    @property
    def services(self) -> str:
        """The range of ClusterIPs."""
        return f"10.{self.slot}.0.0/20"

    @property
    def pods(self) -> str:
        """The range of pod addresses."""
        return f"10.{self.slot}.128.0/17"

    @property
    def first_service(self) -> str:
        """The ClusterIP of the service `kubernetes`."""
        return f"10.{self.slot}.0.1"

    @property
    def dns_service(self) -> str:
        """The ClusterIP of the cluster's DNS."""
        return f"10.{self.slot}.0.10"

    def save(self) -> None:
        """Write the state file, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".state.{os.getpid()}"
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n")
        partial.replace(self.folder / "state.json")

    def add_child(self, child: Child) -> None:
        """Record a process."""
        self.children = [known for known in self.children if known.name != child.name] + [child]
        self.save()


def check_name(name: str) -> str:
    """Return `name` when it can name a cluster.

    Raises:
        ClusterError: it is too long, or has other than lower-case letters, digits and inner dashes.
    """
    if not _NAME.fullmatch(name):
        raise ClusterError(
            f"name: {name!r} cannot name a cluster; use lower-case letters, digits and inner dashes, at most 32"
        )
    return name


def load_state(name: str) -> State | None:
    """Read a cluster's state file; None when there is none, or another version of the harness wrote it."""
    file = clusters_root() / name / "state.json"
    if not file.exists():
        return None
    try:
        data = json.loads(file.read_text())
        data["children"] = [Child(**child) for child in data["children"]]
        known = {each.name for each in fields(State)}
        return State(**{key: value for key, value in data.items() if key in known})
    except (ValueError, TypeError, KeyError) as problem:
        say(f"{file} cannot be read: {problem}")
        return None


def all_states() -> list[State]:
    """The states of all clusters of this cache."""
    root = clusters_root()
    if not root.is_dir():
        return []
    found = (load_state(folder.name) for folder in sorted(root.iterdir()) if folder.is_dir())
    return [state for state in found if state is not None]


@contextmanager
def locked(name: str, timeout: float = 900.0) -> Iterator[None]:
    """Hold the lock `name` among all processes that share this cache.

    Raises:
        ClusterError: another process held it for `timeout` seconds.
    """
    file = cache_root() / "locks" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    told = False
    with file.open("a+") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"lock {file}: held by another process for {timeout:.0f} s; see `fuser -v {file}`"
                    ) from None
                if not told:
                    say(f"waiting for another process that holds {file}")
                    told = True
                time.sleep(0.1)
        yield
