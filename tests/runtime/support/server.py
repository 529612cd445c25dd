"""A real server on free loopback ports, in a thread of the test process: torch is imported once for all tests."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from modelservice_runtime.config import Settings
from modelservice_runtime.server.process import ServerProcess

READY_SECONDS = 100.0


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Poll until a condition holds; fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


class RunningServer:
    """A server and clients for its two ports."""

    def __init__(
        self,
        model: Path,
        *,
        name: str = "tiny",
        task: str = "auto",
        grpc_port: int = 0,
        naming: dict[str, Any] | None = None,
        **sections: dict[str, Any],
    ) -> None:
        port, admin_port = free_ports(2)
        self.settings = Settings.model_validate(
            {
                "model": {"path": str(model), "name": name, "task": task, **(naming or {})},
                "lifecycle": {"drain_seconds": 5},
                **sections,
                "server": {
                    "host": "127.0.0.1",
                    "port": port,
                    "admin_port": admin_port,
                    "grpc_port": grpc_port,
                    **sections.get("server", {}),
                },
            }
        )
        self.port = port
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self.admin = httpx.Client(base_url=f"http://127.0.0.1:{admin_port}", timeout=10)
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        async def main() -> None:
            self.process = ServerProcess(self.settings)
            self._loop = asyncio.get_running_loop()
            await self.process.run()

        try:
            asyncio.run(main())
        except BaseException as error:
            self.error = error

    @property
    def alive(self) -> bool:
        """Whether the process, here a thread, has not ended."""
        return self._thread.is_alive()

    def wait_ready(self) -> "RunningServer":
        """Wait until the model answers."""
        wait_until(lambda: self.error is not None or self._is("/readyz"), "ready", READY_SECONDS)
        if self.error is not None:
            raise self.error
        return self

    def _is(self, path: str) -> bool:
        try:
            return self.admin.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def post(self, path: str, **body: Any) -> httpx.Response:
        """Post a JSON body for the served model."""
        return self.http.post(path, json={"model": "tiny", **body})

    def stats(self) -> dict[str, int]:
        """Return running and queued from the status."""
        counts: dict[str, int] = self.admin.get("/status").json()["requests"]
        return counts

    def stop(self, *, wait: bool = True) -> None:
        """Ask for an orderly end."""
        self._loop.call_soon_threadsafe(self.process.stop)
        if wait:
            self.join()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.http.close()
        self.admin.close()


@contextmanager
def running(model: Path, **sections: Any) -> Iterator[RunningServer]:
    """Run a server for a block."""
    server = RunningServer(model, **sections).wait_ready()
    try:
        yield server
    finally:
        server.stop()
