"""Turns to replace pods: few at a time, read from the cluster, and nobody after one that does not get ready."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelservice_operator.api.kinds import DEPLOYMENT
from modelservice_operator.controller.intake import record_of
from modelservice_operator.controller.keys import Key
from modelservice_operator.controller.observe import Observation, observe
from modelservice_operator.controller.waves import Waves
from modelservice_operator.engine.cache import Cache
from modelservice_operator.kube.resources import MODEL_SERVICE, RUNTIME_PROFILE, child_resource

READY = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
NAMES = ("a", "b", "c")


class Town:
    """A cache with a profile and services, and a clock."""

    def __init__(self, **updates: Any) -> None:
        self.cache, self.now = Cache(), 100.0
        self.waves = Waves(self.cache, lambda: self.now)
        self._versions = 0
        self._put(RUNTIME_PROFILE, "pool", "", spec={"updates": {"policy": "Wave", **updates}})
        for name in NAMES:
            spec = {"model": {"uri": "pvc://claim/m"}, "runtime": {"profileRef": {"name": "pool"}}}
            self._put(MODEL_SERVICE, name, "team", spec=spec)

    def deployment(self, name: str, status: dict[str, int], wave: str = "new") -> None:
        """The Deployment of a service that took the template `new` when its turn had come."""
        template = {"metadata": {"labels": {"modelservice.dev/revision": "new"}}}
        metadata = {"labels": {"modelservice.dev/name": name}, "annotations": {"modelservice.dev/wave": wave}}
        spec = {"replicas": 1, "template": template}
        self._put(child_resource(DEPLOYMENT), name, "team", metadata=metadata, spec=spec, status=status)

    def has_turn(self, name: str) -> bool:
        seen = observe(self.cache, Key("team", name), datetime.now(UTC))
        assert isinstance(seen, Observation)
        return self.waves.has_turn(seen)

    def _put(self, resource: Any, name: str, namespace: str, metadata: Any = None, **body: Any) -> None:
        self._versions += 1
        known = {
            "name": name,
            "uid": f"{resource.kind}-{name}",
            "generation": 1,
            "resourceVersion": str(self._versions),
        }
        known |= {"namespace": namespace} if namespace else {}
        self.cache.upsert(record_of(resource, {"metadata": {**known, **(metadata or {})}, **body}))


@pytest.mark.parametrize(("updates", "turns"), [({}, 1), ({"maxServices": 2}, 2)])
def test_as_many_services_have_a_turn_as_the_profile_says(updates: dict[str, int], turns: int) -> None:
    town = Town(**updates)
    assert [town.has_turn(name) for name in NAMES] == [True] * turns + [False] * (len(NAMES) - turns)


def test_turn_is_kept_by_the_one_who_has_it() -> None:
    town = Town()
    assert [town.has_turn("a"), town.has_turn("a"), town.has_turn("b")] == [True, True, False]


def test_next_one_has_a_turn_when_the_first_is_ready_and_not_before() -> None:
    town = Town()
    assert town.has_turn("a")
    town.deployment("a", {})
    town.now += 60
    assert not town.has_turn("b"), "the first one does not get ready"
    town.deployment("a", READY)
    town.now += 60
    assert town.has_turn("b")


def test_restarted_operator_knows_who_is_at_it() -> None:
    town = Town()
    town.deployment("a", {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1})
    assert not town.has_turn("b")


def test_one_that_rolls_out_for_another_reason_takes_no_turn() -> None:
    town = Town()
    town.deployment("a", {}, wave="earlier")
    assert town.has_turn("b")


def test_turn_is_free_when_its_owner_is_gone() -> None:
    town = Town()
    assert town.has_turn("a")
    town.waves.forget(Key("team", "a"))
    assert town.has_turn("b")
