"""The load generator against a public one, locust, on the same server with the same requests."""

import asyncio
import json
import tempfile
from pathlib import Path

from tests.bench.runtime.bench import Bench
from tests.bench.runtime.contenders import environment
from tests.bench.runtime.figures import answers_per_second
from tests.bench.runtime.load import Generator, Make
from tests.bench.runtime.servers import Server

CLIENTS = 8
SCRIPT = """
import itertools
from locust import FastHttpUser, task

SHOTS = {shots!r}
NUMBERS = itertools.count()

class Client(FastHttpUser):
    @task
    def ask(self):
        path, body = SHOTS[next(NUMBERS) % len(SHOTS)]
        self.client.post(path, data=body, headers={{"content-type": "application/json"}}, name="all")
"""


async def cross_check(bench: Bench, server: Server, make: Make) -> str:
    """Load a server by both in turns; return what both measured, in words."""
    seconds = max(4, int(bench.seconds))
    async with Generator(server.base) as generator:
        own = answers_per_second(await generator.closed(CLIENTS, make, seconds, 0.5))
    public = await _locust(server, make, seconds)
    return f"checked with locust: {public:.1f} answers/s, by the generator here {own:.1f} ({own / public - 1:+.1%})"


async def _locust(server: Server, make: Make, seconds: int) -> float:
    programs = await environment("locust")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "locustfile.py"
        shots = [(shot.path, shot.body) for shot in map(make, range(200))]
        script.write_text(SCRIPT.format(shots=shots))
        options = [
            "--headless",
            "-u",
            str(CLIENTS),
            "-r",
            str(CLIENTS),
            "-t",
            f"{seconds}s",
            "--json",
            "--only-summary",
        ]
        process = await asyncio.create_subprocess_exec(
            f"{programs}/locust", "-f", str(script), "--host", server.base, *options,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            output, _ = await asyncio.wait_for(process.communicate(), seconds + 30)
        finally:
            if process.returncode is None:
                process.kill()
    stats = json.loads(output)[0]
    return float(stats["num_requests"] / (stats["last_request_timestamp"] - stats["start_time"]))
