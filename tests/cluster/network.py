"""Choosing ports and subnets that nobody else uses: not this machine, not another cluster of this cache.

A cluster takes one /16 of 10.0.0.0/8, its slot: services in the first /20, the uplink in a /30 at .16.0, pods in the
upper half. One number to choose, one range to compare with the machine's routes.
"""

import ipaddress
import random
import socket
from collections.abc import Collection, Iterable
from pathlib import Path

from tests.cluster.errors import ClusterError

Network = ipaddress.IPv4Network
_SLOTS = range(100, 250)
_PORTS = range(20000, 32000)


def parse_routes(table: str) -> list[Network]:
    """Read the networks, default routes left out, from the text of /proc/net/route (little-endian hexadecimal)."""
    rows = (line.split() for line in table.splitlines()[1:])
    found = (_network(fields[1], fields[7]) for fields in rows)
    return [network for network in found if network.prefixlen]


def _network(destination: str, mask: str) -> Network:
    address, netmask = (socket.inet_ntoa(bytes.fromhex(word)[::-1]) for word in (destination, mask))
    return Network(f"{address}/{netmask}")


def machine_networks() -> list[Network]:
    """The networks that this machine routes to."""
    return parse_routes(Path("/proc/net/route").read_text())


def choose_slot(taken: Collection[int], routed: Iterable[Network]) -> int:
    """The first slot that no other cluster has and that overlaps no routed network.

    Raises:
        ClusterError: none of the 150 slots is free.
    """
    networks = list(routed)
    for slot in _SLOTS:
        subnet = Network(f"10.{slot}.0.0/16")
        if slot not in taken and not any(subnet.overlaps(network) for network in networks):
            return slot
    raise ClusterError(
        "subnet: each of 10.100.0.0/16 to 10.249.0.0/16 is routed or taken;"
        " bring clusters down (`status` lists them) or remove a route"
    )


def is_free(port: int) -> bool:
    """Whether nobody listens on the TCP port, on any address."""
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def choose_ports(names: Iterable[str], taken: Collection[int]) -> dict[str, int]:
    """A free TCP port for each name, below the range that the kernel gives to outgoing connections.

    Raises:
        ClusterError: too few are free.
    """
    candidates = [port for port in _PORTS if port not in taken]
    random.shuffle(candidates)
    chosen: dict[str, int] = {}
    free = (port for port in candidates if is_free(port))
    for name in names:
        port = next(free, None)
        if port is None:
            raise ClusterError(f"port: none free for {name} in {_PORTS.start} to {_PORTS.stop}")
        chosen[name] = port
    return chosen
