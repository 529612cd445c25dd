"""The namespaces that make a node of this machine a machine of its own, and its way out.

A node gets network, process and mount namespaces, so that two nodes do not meet in kube-proxy's tables, fixed ports
or fixed paths. A veth pair joins it with the machine: the machine routes the cluster's service and pod ranges into
it, so tests reach ClusterIPs directly, and translates the addresses of what leaves, so that builds reach package
registries.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import process
from tests.cluster.errors import ClusterError
from tests.cluster.state import State, locked

INIT = "node-init"
_LINK = "msvc"
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_FORWARDING_WAS = Path("/run/modelservice-ip-forward")
_COVERED = ("/run", "/var/lib", "/var/log")


def run(*command: str, input: str | None = None) -> str:
    """Run a program and return what it prints.

    Raises:
        ClusterError: it failed; the message has its words.
    """
    done = subprocess.run(command, input=input, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(
            f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout


def open_sandbox(state: State) -> None:
    """Start the node's first process, and join it with the machine.

    Raises:
        ClusterError: the machine refuses a namespace, a mount or a link.
    """
    for covered in _COVERED:
        if state.folder.is_relative_to(covered):
            raise ClusterError(
                f"MODELSERVICE_CACHE: {state.folder} lies in {covered}, which a node replaces; set it to another folder"
            )
    state.run_dir, link = f"/run/modelservice-{state.slot}", f"{_LINK}{state.slot}"
    state.links, state.tables = [link], [f"modelservice-{state.slot}"]
    state.save()
    Path(state.run_dir).mkdir(parents=True, exist_ok=True)
    namespaces = [
        "unshare",
        "--net",
        "--pid",
        "--mount",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--propagation",
        "private",
    ]
    init = [sys.executable, "-S", "-E", str(Path(__file__).parent / "init.py"), str(state.folder), state.run_dir]
    process.start(state, INIT, [*namespaces, *init])
    process.wait_until(state, "the node's namespaces", (state.folder / "init.json").exists, 20, [INIT])
    _join(state, link)


def _join(state: State, link: str) -> None:
    pid = str(init_pid(state))
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid)
    run("ip", "addr", "add", f"{state.host_address}/30", "dev", link)
    run("ip", "link", "set", link, "up")
    inside = ("nsenter", "--target", pid, "--net", "ip")
    run(*inside, "link", "set", "lo", "up")
    run(*inside, "addr", "add", f"{state.node_address}/30", "dev", "eth0")
    run(*inside, "link", "set", "eth0", "up")
    run(*inside, "route", "add", "default", "via", state.host_address)
    for subnet in (state.services, state.pods):
        run("ip", "route", "add", subnet, "via", state.node_address, "dev", link)
    with locked("forwarding"):
        if not _FORWARDING_WAS.exists():
            _FORWARDING_WAS.write_text(_FORWARDING.read_text())
        _FORWARDING.write_text("1")
    run("nft", "-f", "-", input=_translation(state, link))


def _translation(state: State, link: str) -> str:
    subnet = f"10.{state.slot}.0.0/16"
    return f"""table ip {state.tables[0]} {{
  chain out {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} oifname != "{link}" masquerade
  }}
}}
"""


def init_pid(state: State) -> int:
    """The machine's id of the node's first process.

    Raises:
        ClusterError: the node has none.
    """
    outer = next((child for child in state.children if child.name == INIT), None)
    if outer is None or not process.is_alive(outer):
        raise ClusterError(f"cluster {state.name} has no running node; `up` starts it again")
    return int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0])


def inside(state: State, command: Sequence[str]) -> list[str]:
    """The command that runs `command` in the node."""
    return ["nsenter", "--target", str(init_pid(state)), "--net", "--pid", "--mount", "--wdns=/", "--", *command]


def close_sandbox(state: State) -> None:
    """Remove what the machine has of a node whose processes ended: its table, its link, forwarding."""
    for table in state.tables:
        subprocess.run(["nft", "delete", "table", "ip", table], capture_output=True, check=False)
    for link in state.links:
        subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
    with locked("forwarding"):
        if _FORWARDING_WAS.exists() and not list(Path("/sys/class/net").glob(f"{_LINK}*")):
            _FORWARDING.write_text(_FORWARDING_WAS.read_text())
            _FORWARDING_WAS.unlink()
