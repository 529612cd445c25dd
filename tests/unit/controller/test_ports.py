"""The port of a service at the activator: its own, the same as long as it lives, nobody else's."""

from typing import Any

from modelservice_operator.controller.intake import record_of
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.ports import Ports
from modelservice_operator.engine.cache import Cache
from modelservice_operator.kube.resources import BY_KIND

KEYS = [Key("team", f"chat-{number}") for number in range(5)]


def _slice(key: Key, port: int, created: str = "2026-01-31T08:00:00Z") -> dict[str, Any]:
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": key.namespace,
            "name": f"{key.name}-activator",
            "uid": f"uid-{key}",
            "resourceVersion": "7",
            "creationTimestamp": created,
            "labels": {"modelservice.dev/name": key.name},
        },
        "endpoints": None,
        "ports": [{"name": "http", "port": port}],
    }


def _cache(*slices: dict[str, Any]) -> Cache:
    cache = Cache()
    for each in slices:
        cache.upsert(record_of(BY_KIND["EndpointSlice"], each))
    return cache


def test_every_service_has_a_port_of_its_own_until_none_is_left() -> None:
    ports = Ports(_cache(), 20000, 4)
    given = [ports.of(key) for key in KEYS]
    assert sorted(given[:4]) == [20000, 20001, 20002, 20003]
    assert given[4] == 0
    assert [ports.of(key) for key in KEYS[:4]] == given[:4]
    ports.forget(KEYS[0])
    assert ports.of(KEYS[4]) == given[0]


def test_port_that_a_slice_has_is_kept_by_an_operator_that_starts_anew() -> None:
    ports = Ports(_cache(_slice(KEYS[0], 20003), _slice(KEYS[1], 20001)), 20000, 4)
    assert [ports.of(key) for key in KEYS[:2]] == [20003, 20001]
    assert sorted(ports.of(key) for key in KEYS[2:4]) == [20000, 20002]


def test_older_slice_keeps_a_port_that_two_have() -> None:
    younger, older = _slice(KEYS[0], 20001, "2026-01-31T09:00:00Z"), _slice(KEYS[1], 20001)
    ports = Ports(_cache(younger, older), 20000, 2)
    assert [ports.of(key) for key in KEYS[:2]] == [20000, 20001]


def test_port_outside_the_range_is_given_up() -> None:
    assert Ports(_cache(_slice(KEYS[0], 30000)), 20000, 1).of(KEYS[0]) == 20000
