"""Choosing what nobody else uses."""

import socket

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.network import Network, choose_ports, choose_slot, is_free, parse_routes

ROUTES = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0
eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0
docker0 0000640A 00000000 0001 0 0 0 0000FFFF 0 0 0
"""


def test_networks_are_read_without_the_default_route_when_the_kernel_lists_them() -> None:
    assert parse_routes(ROUTES) == [Network("192.0.2.0/24"), Network("10.100.0.0/16")]


def test_slot_is_skipped_when_routed_or_taken() -> None:
    assert choose_slot(taken=[101], routed=parse_routes(ROUTES)) == 102


def test_slot_is_skipped_when_a_wider_route_covers_it() -> None:
    assert choose_slot(taken=[], routed=[Network("10.96.0.0/12")]) == 112


def test_error_names_the_way_out_when_no_slot_is_free() -> None:
    with pytest.raises(ClusterError, match="bring clusters down"):
        choose_slot(taken=[], routed=[Network("10.0.0.0/8")])


def test_port_is_not_free_when_somebody_listens() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert not is_free(server.getsockname()[1])


def test_ports_differ_from_those_of_other_clusters_when_chosen() -> None:
    taken = set(range(20000, 31990))
    chosen = choose_ports(["a", "b", "c"], taken)
    assert len(set(chosen.values())) == 3
    assert not taken & set(chosen.values())


def test_error_names_the_port_when_none_is_free() -> None:
    with pytest.raises(ClusterError, match="none free for api"):
        choose_ports(["api"], set(range(20000, 32000)))
