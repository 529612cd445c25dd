"""What is told of streams that kopf leaves behind."""

import asyncio
import gc
import logging

import pytest
from kopf._cogs.clients.errors import APIError

from modelservice_operator.kube.watch import forgive_left_streams


async def _leave(error: Exception) -> None:
    async def fail() -> None:
        raise error

    task = asyncio.create_task(fail())
    await asyncio.wait({task})
    del task
    gc.collect()


async def test_refusal_of_a_stream_that_was_left_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    forgive_left_streams(asyncio.get_running_loop())
    with caplog.at_level(logging.WARNING):
        await _leave(APIError(None, status=410, headers={}))
    assert caplog.records == []


async def test_other_errors_of_tasks_that_nobody_asks_for_are(caplog: pytest.LogCaptureFixture) -> None:
    forgive_left_streams(asyncio.get_running_loop())
    await _leave(ValueError("a mistake"))
    assert "Task exception was never retrieved" in caplog.text
    assert "a mistake" in caplog.text
