import asyncio

import pytest

from modelservice_operator.engine.cache import Cache, ObjectId, Record
from modelservice_operator.engine.resync import Resync, Snapshot
from tests.support.polling import until


class World:
    def __init__(self) -> None:
        self.cache = Cache()
        self.lists: dict[str, list[Record]] = {"Pod": [], "Service": []}
        self.broken: set[str] = set()
        self.changed: list[str] = []
        self.corrections: dict[str, int] = {}
        self.passes = 0
        self.listed = 0
        self.resync = Resync(self.cache, lambda: list(self.lists), self.snapshot, self.on_change, self, interval=3600)

    async def snapshot(self, kind: str) -> Snapshot:
        self.listed += kind == "Pod"
        if kind in self.broken:
            raise ConnectionError(kind)
        return Snapshot(kind, self.lists[kind], version=100)

    def on_change(self, record: Record) -> None:
        self.changed.append(record.id.name)

    def resynced(self, kind: str, corrections: int) -> None:
        self.corrections[kind] = corrections

    def on_pass(self) -> None:
        self.passes += 1


def make_record(name: str, version: int = 1, kind: str = "Pod") -> Record:
    return Record.of(ObjectId(kind, "team", name), name, version, None, {})


@pytest.fixture
def world() -> World:
    return World()


async def test_missed_deletion_is_found_when_the_list_lacks_the_object(world: World) -> None:
    world.cache.upsert(make_record("ghost"))
    assert await world.resync.list_kind("Pod") == 1
    assert world.changed == ["ghost"]
    assert world.cache.sizes()["Pod"] == 0


async def test_nothing_is_corrected_when_the_cache_is_right(world: World) -> None:
    world.cache.upsert(make_record("a"))
    world.lists["Pod"] = [make_record("a")]
    assert await world.resync.list_kind("Pod") == 0
    assert world.changed == []


async def test_other_kinds_are_listed_when_one_cannot_be(world: World) -> None:
    world.broken.add("Pod")
    world.lists["Service"] = [make_record("svc", kind="Service")]
    task = asyncio.create_task(world.resync.run(world.on_pass))
    world.resync.ask()
    await until(lambda: world.passes > 0)
    task.cancel()
    assert world.corrections == {"Service": 1}


async def test_everything_is_looked_at_after_a_pass_on_schedule_or_when_asked_for_but_not_after_mere_lists(
    world: World,
) -> None:
    running = asyncio.create_task(world.resync.run(world.on_pass))
    world.resync.ask_to_list()
    await until(lambda: world.listed == 1)
    assert world.passes == 0
    world.resync.ask()
    await until(lambda: world.passes == 1)
    assert world.listed == 2
    world.resync._interval = 0.02
    world.resync.ask_to_list()
    await until(lambda: world.passes == 2)
    running.cancel()


async def test_one_pass_is_made_when_the_lists_are_over_however_many_objects_they_have(world: World) -> None:
    running = asyncio.create_task(world.resync.run(world.on_pass))
    for _ in range(30):
        world.resync.ask_after_lists(quiet=0.2, latest=60)
        await asyncio.sleep(0.01)
    assert world.listed == 0
    await until(lambda: world.listed == 1)
    await asyncio.sleep(0.3)
    assert world.listed == 1
    world.resync.ask_after_lists(quiet=0.01)
    await until(lambda: world.listed == 2)
    running.cancel()


async def test_a_pass_is_not_put_off_for_ever_when_the_lists_do_not_end(world: World) -> None:
    running = asyncio.create_task(world.resync.run(world.on_pass))

    def ask() -> bool:
        world.resync.ask_after_lists(quiet=0.2, latest=0.3)
        return world.listed > 0

    await until(ask, pause=0.01)
    running.cancel()
