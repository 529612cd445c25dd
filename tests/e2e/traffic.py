"""Requests that arrive at a steady rate, whatever becomes of the earlier ones: clients do not wait for each other."""

import asyncio
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

DEADLINE = 30.0


@dataclass
class Traffic:
    """While its block runs, `rate` requests begin each second; what each came to stays in `outcomes` and `seconds`.

    Connections are kept and used again, as the clients of the public libraries do. An outcome is the first
    number of an embedding, rounded, or else a text: the status and body of a refusal, or the client's error.
    """

    url: str
    model: str
    rate: float = 20.0
    outcomes: list[float | str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _sending: Future[None] | None = None

    @property
    def failed(self) -> list[str]:
        """What every request met that was not answered."""
        return [outcome for outcome in self.outcomes if isinstance(outcome, str)]

    @property
    def models(self) -> set[float]:
        """The different answers: one for each model that has answered."""
        return {outcome for outcome in self.outcomes if isinstance(outcome, float)}

    def __enter__(self) -> Self:
        self._sending = self._pool.submit(lambda: asyncio.run(self._send_all()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._pool.shutdown()
        if kind is None and self._sending is not None:
            self._sending.result()  # a client that broke has sent less than it seems

    def told(self) -> str:
        """One line: how many were answered, and how long it took."""
        times = sorted(self.seconds)
        answered = len(self.outcomes) - len(self.failed)
        return (
            f"{answered} of {len(self.outcomes)} answered at {self.rate:.0f}/s; "
            f"median {times[len(times) // 2] * 1000:.0f} ms, longest {times[-1] * 1000:.0f} ms"
        )

    async def _send_all(self) -> None:
        async with httpx.AsyncClient(timeout=DEADLINE, trust_env=False) as client, asyncio.TaskGroup() as group:
            began, number = time.monotonic(), 0
            while not self._stopping.is_set():
                group.create_task(self._send(client))
                number += 1
                await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))

    async def _send(self, client: httpx.AsyncClient) -> None:
        began = time.monotonic()
        body = {"model": self.model, "input": "a quiet evening"}
        try:
            answer = await client.post(f"{self.url}/v1/embeddings", json=body)
            outcome: Any = f"{answer.status_code} {answer.text[:200]}"
            if answer.status_code == 200:
                outcome = round(answer.json()["data"][0]["embedding"][0], 4)
        except httpx.HTTPError as error:
            outcome = repr(error)
        self.seconds.append(time.monotonic() - began)
        self.outcomes.append(outcome)
