"""Packed objects come back as they were, and as copies."""

import pytest

from modelservice_operator.engine.packing import pack, unpack

BODY = {"name": "é", "ports": [80, 2**40, 1.5], "on": True, "off": None, "empty": {}, "nested": {"a": [{"b": ""}]}}


def test_object_is_the_same_when_it_is_unpacked() -> None:
    assert unpack(pack(BODY)) == BODY


def test_every_unpacking_gives_a_copy_that_may_be_changed() -> None:
    packed = pack(BODY)
    unpack(packed)["nested"]["a"].append("changed")
    assert unpack(packed) == BODY


def test_packing_takes_a_fraction_of_the_text() -> None:
    body = {"items": [{"name": f"container-{index}", "image": "registry.example.com/server:1"} for index in range(100)]}
    assert len(pack(body)) < len(str(body)) / 5


def test_packing_refuses_what_json_cannot_say() -> None:
    with pytest.raises(ValueError, match="unmarshallable"):
        pack({"what": object()})
