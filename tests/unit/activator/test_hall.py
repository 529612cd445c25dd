"""Waiting: bounded in number and in time, first come first served, nobody forgotten."""

import asyncio
import time
from collections.abc import Iterable

import pytest

from modelservice_operator.activator.alarm import Alarm
from modelservice_operator.activator.directory import Directory, Service, Target
from modelservice_operator.activator.hall import Bounds, Hall, Refused
from modelservice_operator.kube.endpoints import Slice
from modelservice_operator.kube.errors import Unavailable
from tests.support.polling import until

CHAT = Service("team", "chat")
ONE, TWO = ("10.0.0.1", 8080), ("10.0.0.2", 8080)


def door(name: str = "chat", port: int = 20001, namespace: str = "team") -> Slice:
    labels = {
        "modelservice.dev/name": name,
        "kubernetes.io/service-name": name,
        "endpointslice.kubernetes.io/managed-by": "modelservice-operator",
    }
    return Slice(namespace, labels, {"http": port}, ())


def pods(*targets: Target, service: str = "chat") -> list[Slice]:
    labels = {
        "modelservice.dev/name": "chat",
        "kubernetes.io/service-name": service,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    return [Slice("team", labels, {"http": port, "admin": 8081}, (address,)) for address, port in targets]


class World:
    """A hall for one service, whose pods come and go as the test says."""

    def __init__(self, max_held: int = 3, at_once: int = 2) -> None:
        self.directory = Directory()
        self.rung: list[Service] = []
        self.hall = Hall(self.directory, self.rung.append, Bounds(max_held, 12, at_once))
        self.served: list[tuple[int, Target]] = []
        self.release = asyncio.Event()
        self.set([])

    def set(self, slices: Iterable[Slice], known: bool = True) -> None:
        for service in self.directory.update([*([door()] if known else []), *slices]):
            self.hall.advance(service)

    def ask(self, number: int, seconds: float = 30.0) -> "asyncio.Task[None]":
        return asyncio.create_task(self._ask(number, seconds))

    async def _ask(self, number: int, seconds: float) -> None:
        async with self.hall.turn(CHAT, time.monotonic() + seconds) as target:
            self.served.append((number, target))
            await self.release.wait()


async def _held(world: World, number: int) -> None:
    await until(lambda: world.hall.held(CHAT) == number)


async def test_request_waits_until_a_pod_is_ready_and_somebody_is_told() -> None:
    world = World()
    asked = world.ask(1)
    await _held(world, 1)
    assert world.rung == [CHAT]
    world.set(pods(ONE))
    await until(lambda: world.served == [(1, ONE)])
    assert world.hall.busy() == {CHAT: (0, 1)}
    world.release.set()
    await asked
    await world.hall.emptied()


async def test_requests_are_let_in_in_their_order_and_as_many_as_the_pods_take() -> None:
    world = World(max_held=10)
    tasks = []
    for number in range(6):
        tasks.append(world.ask(number))
        await _held(world, number + 1)
    world.set(pods(ONE, TWO))
    await until(lambda: len(world.served) == 4)
    await asyncio.sleep(0)
    assert [number for number, _ in world.served] == [0, 1, 2, 3]
    assert sorted(target for _, target in world.served) == [ONE, ONE, TWO, TWO]
    assert world.hall.held(CHAT) == 2
    world.release.set()
    await asyncio.gather(*tasks)
    assert [number for number, _ in world.served] == list(range(6))
    assert world.hall.busy() == {}


async def test_request_past_the_bound_is_refused_at_once() -> None:
    world = World(max_held=2)
    tasks = [world.ask(number) for number in range(2)]
    await _held(world, 2)
    with pytest.raises(Refused, match="2 requests wait") as refused:
        await world.ask(3)
    assert refused.value.why == "full"
    world.set(pods(ONE))
    world.release.set()
    await asyncio.gather(*tasks)


async def test_request_is_refused_at_once_when_too_many_wait_for_all_services_together() -> None:
    world = World(max_held=20)
    tasks = [world.ask(number) for number in range(12)]
    await _held(world, 12)
    with pytest.raises(Refused, match="12 requests wait here"):
        async with world.hall.turn(Service("team", "other"), time.monotonic() + 5):
            pass
    for task in tasks:
        task.cancel()
    await world.hall.emptied()


async def test_request_that_waited_its_time_is_refused_and_the_others_go_on() -> None:
    world = World()
    impatient, patient = world.ask(1, 0.05), world.ask(2)
    with pytest.raises(Refused) as refused:
        await impatient
    assert refused.value.why == "late"
    assert world.hall.held(CHAT) == 1
    world.set(pods(ONE))
    world.release.set()
    await patient
    assert world.served == [(2, ONE)]


async def test_client_that_leaves_gives_its_place_up() -> None:
    world = World(at_once=1)
    first, second = world.ask(1), world.ask(2)
    await _held(world, 2)
    first.cancel()
    await _held(world, 1)
    world.set(pods(ONE))
    await until(lambda: world.served == [(2, ONE)])
    third = world.ask(3)
    await _held(world, 1)
    second.cancel()
    await until(lambda: world.served == [(2, ONE), (3, ONE)])
    third.cancel()
    await world.hall.emptied()


async def test_place_given_to_a_client_at_the_moment_it_leaves_goes_to_the_next() -> None:
    world = World(at_once=1)
    first, second = world.ask(1), world.ask(2)
    await _held(world, 2)
    world.set(pods(ONE))
    first.cancel()
    await until(lambda: world.served == [(2, ONE)])
    second.cancel()
    await world.hall.emptied()


async def test_pod_without_a_connection_is_left_alone_for_a_moment() -> None:
    world = World()
    world.set(pods(ONE))
    async with world.hall.turn(CHAT, time.monotonic() + 5) as target:
        world.hall.shun(CHAT, target)
    waiting = world.ask(1)
    await _held(world, 1)
    world.set(pods(ONE, TWO))
    await until(lambda: world.served == [(1, TWO)])
    world.set(pods(ONE))
    last = world.ask(2)
    await until(lambda: (2, ONE) in world.served)
    world.release.set()
    await asyncio.gather(waiting, last)


async def test_everybody_is_turned_away_when_the_service_is_gone_or_the_process_ends() -> None:
    for end in (lambda world: world.set([], known=False), lambda world: world.hall.end()):
        world = World()
        tasks = [world.ask(number) for number in range(2)]
        await _held(world, 2)
        end(world)
        assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [Refused, Refused]
        assert world.hall.busy() == {}


async def test_alarm_rings_until_nobody_waits_and_survives_an_api_server_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("modelservice_operator.activator.alarm.AGAIN_SECONDS", 0.01)
    calls: list[Service] = []
    waits = True

    async def wake(service: Service) -> bool:
        calls.append(service)
        if len(calls) < 3:
            raise Unavailable(503, "away")
        return True

    alarm = Alarm(wake, lambda service: waits)
    alarm.ring(CHAT)
    alarm.ring(CHAT)
    await until(lambda: len(calls) == 4)
    waits = False
    await asyncio.sleep(0.05)
    seen = len(calls)
    waits = True
    alarm.ring(CHAT)
    await until(lambda: len(calls) > seen)
    await alarm.stop()


def test_port_that_two_services_claim_stands_for_neither() -> None:
    directory = Directory()
    changed = directory.update([door(), door("other", 20002)])
    assert changed == {CHAT, Service("team", "other")}
    assert directory.service_at(20001) == CHAT
    assert directory.service_at(20003) is None
    assert directory.update([door(), door("other", 20001)]) == {CHAT, Service("team", "other")}
    assert directory.service_at(20001) is None
    assert not directory.is_known(CHAT)


def test_only_the_slices_of_the_services_own_service_tell_its_pods() -> None:
    directory = Directory()
    directory.update([door(), *pods(ONE), *pods(TWO, service="chat-canary")])
    assert directory.targets(CHAT) == (ONE,)
    assert directory.update([door(), *pods(ONE)]) == set()
    assert directory.update([door()]) == {CHAT}
