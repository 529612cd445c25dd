"""Watch streams that end, stall, lie or repeat, and lists that are old: nothing is lost, nothing is undone."""

import asyncio
import json

import pytest
from aiohttp import web

from modelservice_operator.kube.resources import MODEL_SERVICE
from tests.faults.bench import FaultBench, Replica
from tests.faults.proxy import Ask, Exchange, edited, reset, status
from tests.support.team import Body

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(400)]

BASIC = ("ServiceAccount", "Deployment", "Service")
GONE = {
    "type": "ERROR",
    "object": {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"},
}


def is_watch(ask: Ask) -> bool:
    """Whether a request is a watch."""
    return ask.verb == "watch"


def reopen_watches(bench: FaultBench, replica: Replica) -> None:
    """End the process and start it again, so that every watch meets the rules."""
    replica.operator.kill()
    replica.restart()
    replica.operator.wait(replica.operator.leads, "it leads", 20)


async def deaf(line: bytes) -> bytes:
    """Drop every event."""
    return b""


@pytest.mark.thorough
async def test_nothing_is_lost_when_streams_break_again_and_again(bench: FaultBench) -> None:
    replica = bench.add()

    async def short(exchange: Exchange) -> web.StreamResponse:
        try:
            async with asyncio.timeout(0.7):
                return await exchange.stream()
        except TimeoutError:
            return exchange.reset()

    replica.proxy.add(is_watch, short)
    replica.operator.start()
    replica.operator.wait(replica.operator.leads, "it leads", 20)
    for index in range(6):
        await bench.team.create(f"chat-{index}")
        await asyncio.sleep(0.3)
    for index in range(6):
        await bench.converge(f"chat-{index}", *BASIC)
    await bench.team.remove("Service", "chat-0")
    await bench.converge("chat-0", *BASIC)
    bench.expect_health([replica])


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("in the stream", id="in-the-stream"),
        pytest.param("as the answer", id="as-the-answer", marks=pytest.mark.thorough),
    ],
)
async def test_deletion_in_a_gap_is_seen_when_the_stream_has_expired(bench: FaultBench, how: str) -> None:
    replica = bench.lead()
    await bench.team.create("chat")
    await bench.converge("chat", *BASIC)
    await bench.team.quiet(1.2)

    async def expire(line: bytes) -> bytes:
        return json.dumps(GONE).encode() + b"\n"

    replica.proxy.add(is_watch, edited(deaf))
    reopen_watches(bench, replica)
    await asyncio.sleep(1)
    await bench.team.remove("Service", "chat")
    await asyncio.sleep(1)
    replica.proxy.heal()
    fault = edited(expire) if how == "in the stream" else status(410, "Expired")
    replica.proxy.add(is_watch, fault, times=20)
    replica.proxy.sever()
    await bench.converge("chat", *BASIC)
    bench.expect_health([replica])


async def test_deleted_child_returns_by_the_next_complete_list_when_no_event_tells(bench: FaultBench) -> None:
    replica = bench.add("--resync-seconds", "5")
    replica.proxy.add(is_watch, edited(deaf))
    await bench.team.create("chat")
    replica.operator.start()
    replica.operator.wait(replica.operator.leads, "it leads", 20)
    await bench.converge("chat", *BASIC)
    await bench.team.remove("Deployment", "chat")
    await bench.converge("chat", *BASIC)
    bench.expect_health([replica])


async def test_repeated_and_reordered_events_change_nothing(bench: FaultBench) -> None:
    replica = bench.add()
    told: list[bytes] = []

    async def repeat(line: bytes) -> bytes:
        """Every line twice, with one of the oldest in between."""
        told.append(line)
        old = told[len(told) // 2] if b'"DELETED"' not in told[len(told) // 2] else b""
        return line + old + line

    replica.proxy.add(is_watch, edited(repeat))
    replica.operator.start()
    replica.operator.wait(replica.operator.leads, "it leads", 20)
    await bench.team.create("chat", availability={"minAvailable": 1})
    await bench.converge("chat", *BASIC, "PodDisruptionBudget")

    def edit(body: Body) -> None:
        del body["spec"]["availability"]

    await bench.team.change(MODEL_SERVICE.kind, "chat", edit)
    await bench.converge("chat", *BASIC)
    await bench.team.remove("Service", "chat")
    await bench.converge("chat", *BASIC)
    await bench.expect_quiet()
    bench.expect_health([replica])


@pytest.mark.thorough
async def test_nothing_is_deleted_or_undone_on_the_word_of_an_old_list(bench: FaultBench) -> None:
    replica = bench.lead("--resync-seconds", "5")
    old: dict[str, web.Response] = {}

    def is_list(ask: Ask) -> bool:
        return ask.verb == "list" and ask.resource != ""

    async def keep(exchange: Exchange) -> web.StreamResponse:
        answer = await exchange.forward()
        old.setdefault(exchange.ask.path, web.Response(body=answer.body, content_type="application/json"))
        return answer

    replica.proxy.add(is_list, keep)
    replica.operator.wait(lambda: len(old) > 5, "everything was listed", 20)

    async def replay(exchange: Exchange) -> web.StreamResponse:
        kept = old.get(exchange.ask.path)
        if kept is None:
            return await exchange.forward()
        return web.Response(body=kept.body, content_type="application/json")

    await bench.team.create("chat")
    await bench.converge("chat", *BASIC)
    await bench.team.quiet(1.2)
    bench.audit.mark()
    rule = replica.proxy.add(is_list, replay)
    replica.operator.wait(lambda: len(rule.hits) > 20, "old lists were read", 30)
    await bench.converge("chat", *BASIC)
    assert [e for e in bench.writes() if e["verb"] == "delete"] == [], "an old list made the operator delete"
    assert len(bench.writes()) == 0, "an old list made the operator write"
    bench.expect_health([replica])


@pytest.mark.thorough
async def test_half_open_stream_is_noticed(bench: FaultBench) -> None:
    replica = bench.add()

    async def stall(exchange: Exchange) -> web.StreamResponse:
        return await exchange.stream(_hang)

    rule = replica.proxy.add(is_watch, stall, times=20)
    replica.operator.start()
    replica.operator.wait(replica.operator.leads, "it leads", 20)
    await asyncio.sleep(2)
    assert rule.hits
    replica.proxy.heal()
    await bench.team.create("chat")
    await bench.converge("chat", *BASIC, seconds=120)
    bench.expect_health([replica])


async def _hang(line: bytes) -> bytes:
    await asyncio.Event().wait()
    return line


@pytest.mark.thorough
async def test_watch_goes_on_when_its_requests_are_refused_for_a_while(bench: FaultBench) -> None:
    replica = bench.add()
    replica.proxy.add(is_watch, reset, times=60)
    replica.operator.start()
    replica.operator.wait(replica.operator.leads, "it leads", 20)
    await bench.team.create("chat")
    await bench.converge("chat", *BASIC)
    bench.expect_health([replica])
