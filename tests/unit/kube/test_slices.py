"""EndpointSlices as they are now, whatever a watch tells, repeats or loses."""

from typing import Any

from modelservice_operator.kube.endpoints import read_slice, slices_of
from modelservice_operator.kube.slices import Slices
from tests.support.fake_kube import FakeKube

LABELS = {"kubernetes.io/service-name": "chat"}
RESOURCE = slices_of("kubernetes.io/service-name=chat")


def _body(name: str = "chat-1", *addresses: str, ready: bool | None = True, labels: Any = None) -> dict[str, Any]:
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": "team", "name": name, "labels": labels or LABELS},
        "endpoints": [{"addresses": [each], "conditions": {"ready": ready}} for each in addresses] or None,
        "ports": [{"name": "http", "port": 8080}, {"name": "odd", "port": None}],
    }


class World:
    def __init__(self) -> None:
        self.kube = FakeKube(served={"EndpointSlice"})
        self.changes = 0
        self.slices = Slices(self.kube, RESOURCE, self._connect, (), self._on_change)

    async def _connect(self) -> Any:
        raise NotImplementedError

    def _on_change(self) -> None:
        self.changes += 1

    def addresses(self) -> set[str]:
        return {address for each in self.slices.all() for address in each.addresses}


async def test_slices_that_are_gone_are_forgotten_at_the_next_list() -> None:
    world = World()
    world.kube.put(RESOURCE, _body("chat-1", "10.0.0.1"))
    world.kube.put(RESOURCE, _body("chat-2", "10.0.0.2"))
    world.kube.put(RESOURCE, _body("other", "10.0.0.3", labels={"kubernetes.io/service-name": "other"}))
    await world.slices.fill()
    assert world.addresses() == {"10.0.0.1", "10.0.0.2"}
    world.kube.remove(RESOURCE, "team", "chat-1")
    await world.slices.fill()
    assert (world.addresses(), world.changes) == ({"10.0.0.2"}, 2)
    await world.slices.fill()
    assert world.changes == 2


async def test_event_is_told_once_and_an_old_one_never() -> None:
    world = World()
    old = world.kube.put(RESOURCE, _body("chat-1", "10.0.0.1"))
    new = world.kube.put(RESOURCE, _body("chat-1", "10.0.0.9"))
    for body in (new, new, old):
        world.slices.on_event(RESOURCE, "MODIFIED", body)
    assert (world.addresses(), world.changes) == ({"10.0.0.9"}, 1)
    world.slices.on_event(RESOURCE, "DELETED", world.kube.remove(RESOURCE, "team", "chat-1"))
    assert (world.addresses(), world.changes) == (set(), 2)


def test_endpoint_counts_unless_it_says_that_it_is_not_ready() -> None:
    assert read_slice(_body("a", "10.0.0.1", ready=None)).addresses == ("10.0.0.1",)
    assert read_slice(_body("a", "10.0.0.1", ready=False)).addresses == ()
    assert read_slice(_body("a")).addresses == ()
    assert read_slice(_body("a")).ports == {"http": 8080}
