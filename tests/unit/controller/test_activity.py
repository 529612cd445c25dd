"""How long pods have been quiet, from real HTTP servers in place of their admin ports."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from modelservice_operator.controller.activity import Activity, count, signals_of
from modelservice_operator.controller.keys import Key
from modelservice_operator.observability.exposition import read_snapshot
from modelservice_operator.observability.scrape import Scraper
from tests.support.admin_ports import AdminPort, exposition
from tests.support.builders import make_profile
from tests.support.polling import until

KEY = Key("team", "chat")


def _says(finished: float, running: float = 0, queued: float = 0) -> str:
    return exposition(queued, running, finished=finished)


class World:
    """One pod, and the keys that were told to be quiet."""

    def __init__(self, port: AdminPort) -> None:
        self.port = port
        self.told: list[Key] = []
        self.leads = True
        self.held: bool | None = False
        self.scraper = Scraper(port.port)
        self.activity = Activity(self.told.append, lambda: self.leads, self.scraper, self._is_held)

    async def _is_held(self, key: Key) -> bool | None:
        return self.held

    async def close(self) -> None:
        await self.activity.close()
        await self.scraper.close()

    def quiet(self, seconds: float = 1.0) -> float | None:
        return self.activity.follow(KEY, seconds, {"uid": self.port.address})


@pytest.fixture
def port() -> Iterator[AdminPort]:
    found = AdminPort("127.0.0.1", _says(3), 0)
    yield found
    found.close()


@pytest.fixture
async def world(port: AdminPort) -> AsyncIterator[World]:
    found = World(port)
    yield found
    await found.close()


async def test_service_is_told_to_be_quiet_after_its_time_and_not_before(world: World) -> None:
    assert world.quiet() is None
    await until(lambda: world.quiet() == 0.0)
    assert world.told == []
    await until(lambda: bool(world.told))
    assert (world.quiet() or 0) >= 1.0


@pytest.mark.parametrize("busy", [_says(3, running=1), _says(3, queued=2)], ids=["computing", "waiting"])
async def test_pod_with_work_under_way_is_never_quiet(world: World, busy: str) -> None:
    world.port.text = busy
    world.quiet()
    await until(lambda: world.port.asked >= 4)
    assert world.told == []
    assert world.quiet() == 0.0


async def test_call_between_two_readings_begins_the_time_anew(world: World) -> None:
    world.quiet(60.0)
    await until(lambda: world.quiet(1.0) is not None)
    await until(lambda: (world.quiet() or 0) > 0)
    world.port.text = _says(4)
    await until(lambda: world.quiet() == 0.0)


async def test_nothing_is_known_of_a_pod_that_does_not_answer(world: World) -> None:
    world.port.text = ""
    world.quiet()
    await until(lambda: world.port.asked >= 3)
    assert world.quiet() is None


async def test_new_pod_has_to_be_read_before_the_service_counts_as_quiet(world: World) -> None:
    world.quiet()
    await until(lambda: world.quiet() is not None)
    assert world.activity.follow(KEY, 1.0, {"uid": "127.0.0.1", "other": "127.0.0.2"}) is None


async def test_service_is_busy_while_the_activator_holds_its_requests(world: World) -> None:
    world.held = True
    world.quiet()
    await until(lambda: world.port.asked >= 4)
    assert world.told == []
    assert world.quiet() == 0.0
    world.held = False
    await until(lambda: bool(world.told))


async def test_nothing_is_known_while_the_activator_does_not_say_what_it_holds(world: World) -> None:
    world.held = None
    world.quiet()
    await until(lambda: world.port.asked >= 4)
    assert world.quiet() is None
    assert world.told == []


async def test_standby_reads_nothing(world: World) -> None:
    world.leads = False
    world.quiet()
    world.leads = True
    await until(lambda: world.port.asked > 0)
    world.activity.forget(KEY)


def test_server_that_counts_from_the_beginning_was_busy() -> None:
    known = count(None, read_snapshot(_says(7)), 10.0)
    assert known is not None
    assert count(known, read_snapshot(_says(7)), 20.0).since == 10.0  # type: ignore[union-attr]
    assert count(known, read_snapshot(_says(0)), 20.0).since == 20.0  # type: ignore[union-attr]


async def test_server_of_another_make_is_read_where_and_as_its_profile_says(world: World) -> None:
    names = {"queueDepth": "llm:waiting", "concurrency": "llm:running", "tokens": "llm:tokens_total"}
    metrics = {**names, "port": world.port.port, "path": "/engine"}
    signals = signals_of(make_profile(image="a/b", server={"metrics": metrics}))
    world.scraper = Scraper(1)
    world.activity = Activity(world.told.append, lambda: True, world.scraper, world._is_held)
    tally = "# TYPE llm:waiting gauge\nllm:waiting 0\n# TYPE llm:running gauge\nllm:running {}\nllm:tokens_total 5\n"
    world.port.text = tally.format(1)
    ask = partial(world.activity.follow, KEY, 1.0, {"uid": world.port.address}, signals)
    ask()
    await until(lambda: ask() == 0.0)
    assert world.port.path == "/engine"
    world.port.text = tally.format(0)
    await until(lambda: bool(world.told))


def test_pod_that_does_not_count_calls_is_of_unknown_activity() -> None:
    assert count(None, read_snapshot(exposition(0)), 1.0) is None
