"""Two replicas, one writer: whoever leads, the children stay untouched, and nobody leads twice."""

import time

import pytest

from tests.support.audit import describe
from tests.support.operators import Operators
from tests.support.team import Team

pytestmark = pytest.mark.control_plane

BASIC = ("ServiceAccount", "Deployment", "Service")
TAKEOVER_SECONDS = 17.0


async def test_standby_takes_over_and_touches_no_child_when_the_leader_is_killed(
    operators: Operators, team: Team
) -> None:
    leader = operators.start_leader()
    standby = operators.start()
    await team.create("chat")
    await team.expect_children(*BASIC, name="chat")
    await team.quiet()
    assert not standby.leads()
    operators.audit.mark()
    killed_at = time.monotonic()
    leader.kill()
    standby.wait(standby.leads, "the standby leads", TAKEOVER_SECONDS)
    assert time.monotonic() - killed_at <= TAKEOVER_SECONDS
    await team.create("after")
    await team.expect_children(*BASIC, name="after")
    touched = [event for event in operators.audit.writes() if event["objectRef"].get("name", "").startswith("chat")]
    assert describe(touched) == []


async def test_standby_takes_over_at_once_when_the_leader_ends_gracefully(operators: Operators, team: Team) -> None:
    leader = operators.start_leader()
    standby = operators.start()
    assert leader.terminate() == 0
    standby.wait(standby.leads, "the standby leads", 4)
    await team.create("chat")
    await team.expect_children(*BASIC, name="chat")


async def test_nothing_is_written_when_an_operator_restarts_over_existing_objects(
    operators: Operators, team: Team
) -> None:
    leader = operators.start_leader()
    for index in range(5):
        await team.create(f"chat-{index}")
    for index in range(5):
        await team.expect_children(*BASIC, name=f"chat-{index}")
    await team.quiet()
    assert leader.terminate() == 0
    operators.audit.mark()
    again = operators.start_leader()
    again.wait(
        lambda: again.metric('modelservice_operator_reconciles_total{result="InSync"}') >= 5, "all were looked at"
    )
    await team.quiet()
    assert describe(operators.audit.writes()) == []


async def test_one_operator_leads_when_three_start_together(operators: Operators, team: Team) -> None:
    started = [operators.start() for _ in range(3)]
    started[0].wait(lambda: any(operator.leads() for operator in started), "one leads", 20)
    assert sum(operator.leads() for operator in started) == 1
