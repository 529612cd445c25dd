"""`python -m tests.soak`: prints what was measured; the exit code is 1 when something was lost."""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.runtime.support.server import free_ports, wait_until
from tests.runtime.support.tiny_models import make_decoder

CLIENTS = 12
WARM_SHARE = 0.2
MEMORY_SHARE = 0.05
BODY = {"model": "tiny", "prompt": "the quick", "temperature": 1.0}


class Server:
    """The process, and what its admin port tells."""

    def __init__(self, folder: Path) -> None:
        port, admin_port = free_ports(2)
        flags = {"host": "127.0.0.1", "port": port, "admin-port": admin_port}
        command = [sys.executable, "-m", "modelservice_runtime", "serve", str(folder), "--model-name", "tiny"]
        command += [part for name, value in flags.items() for part in (f"--server-{name}", str(value))]
        environment = {**os.environ, "MODELSERVICE_ENGINE__MAX_CONCURRENCY": "4"}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self.admin = httpx.Client(base_url=f"http://127.0.0.1:{admin_port}", timeout=10)

    def is_ready(self) -> bool:
        """Tell whether the model answers."""
        try:
            return self.admin.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def requests(self) -> dict[str, int]:
        """Return running and queued."""
        counts: dict[str, int] = self.admin.get("/status").json()["requests"]
        return counts

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def serving() -> Iterator[Server]:
    """Run the server for a block."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(make_decoder(Path(folder)))
        try:
            wait_until(server.is_ready, "ready", 120)
            yield server
        finally:
            server.process.terminate()
            server.process.wait(60)


def ask(server: Server, rng: random.Random) -> str:
    """Ask once, and in half of the cases leave at a random moment; return what became of it."""
    leaves = rng.random() < 0.5
    body = {**BODY, "max_tokens": rng.randint(3, 40), "stream": rng.random() < 0.5, "n": rng.randint(1, 2)}
    timeout = rng.uniform(0.005, 0.2) if leaves else 60
    try:
        with server.http.stream("POST", "/v1/completions", json=body, timeout=timeout) as answer:
            for _ in answer.iter_lines():
                if leaves and rng.random() < 0.2:
                    return "left"
            return str(answer.status_code)
    except httpx.TimeoutException:
        return "left" if leaves else "no answer"


def soak(server: Server, seconds: float) -> tuple[Counter[str], int, int]:
    """Return the outcomes, and the memory after a warm time and at the end."""
    outcomes: Counter[str] = Counter()
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        rng = random.Random(number)
        while time.monotonic() < end:
            outcomes[ask(server, rng)] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(seconds * WARM_SHARE)
    warm = server.memory()
    for thread in threads:
        thread.join()
    wait_until(lambda: server.requests() == {"running": 0, "queued": 0}, "every slot is free")
    return outcomes, warm, server.memory()


def main() -> int:
    """Soak and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    with serving() as server:
        outcomes, warm, last = soak(server, parser.parse_args().seconds)
    growth = last / warm - 1
    print(f"outcomes: {dict(outcomes)}; slots in use at the end: 0")
    print(f"memory: {warm / 2**20:.1f} MiB warm, {last / 2**20:.1f} MiB at the end, {growth:+.1%}")
    return int(set(outcomes) - {"200", "left"} != set() or growth > MEMORY_SHARE)


if __name__ == "__main__":
    sys.exit(main())
