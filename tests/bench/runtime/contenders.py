"""How each server is started: the runtime itself, and its peers in environments of their own."""

import asyncio
import sys
from pathlib import Path

from tests.bench.runtime.servers import Command
from tests.support.operators import ROOT
from tests.support.ports import free_port

PEERS = Path(__file__).parent / "peers"
BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""Keeps the bytecode of the runtime itself between starts: its image has it, and installed peers have theirs."""
NAME = "bench"
"""Name under which every server serves its model."""


async def environment(peer: str) -> Path:
    """Return the folder of a peer's programs, installing them first when they are not there."""
    script, lock = ROOT / "tests" / "tooling" / "venv.sh", PEERS / f"{peer}.lock"
    process = await asyncio.create_subprocess_exec(
        "bash", str(script), f"bench-{peer}", str(lock), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the environment of {peer} could not be made")
    return Path(output.decode().strip()) / "bin"


def ours(model: Path, dtype: str, **flags: str) -> Command:
    """The runtime, with further flags by their names, such as engine_quantization="int8"."""
    port, admin_port = free_port(), free_port()
    fixed = {
        "model_name": NAME,
        "engine_dtype": dtype,
        "server_host": "127.0.0.1",
        "server_port": str(port),
        "server_admin_port": str(admin_port),
    }
    named = [f"--{key.replace('_', '-')}={value}" for key, value in {**fixed, **flags}.items()]
    arguments = [sys.executable, "-m", "modelservice_runtime", "serve", str(model), *named]
    return Command("ours", arguments, port, "/readyz", BYTECODE, ready_port=admin_port)


def transformers_serve(programs: Path, model: Path, dtype: str, *, batching: bool = True) -> Command:
    """`transformers serve`; with continuous batching its cache is capped, or it takes most of the memory."""
    port = free_port()
    arguments = [
        f"{programs}/transformers", "serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu",
        "--dtype", dtype,
    ]  # fmt: skip
    if batching:
        caps = ["--cb-block-size", "64", "--cb-num-blocks", "256", "--cb-max-batch-tokens", "512"]
        arguments += ["--continuous-batching", *caps]
    return Command("transformers serve", arguments, port, "/health", {}, model=str(model))


def litserve(programs: Path, model: Path, dtype: str, kind: str) -> Command:
    """LitServe with batches of up to 16, collected for up to 10 ms; `kind` is `text`, `image` or `speech`."""
    port = free_port()
    arguments = [f"{programs}/python", str(PEERS / "litserve_app.py"), str(model), dtype, kind, str(port)]
    return Command("LitServe", arguments, port, "/health", {})


def infinity(programs: Path, model: Path, dtype: str) -> Command:
    """Infinity on torch."""
    port = free_port()
    arguments = [
        f"{programs}/infinity_emb", "v2", "--model-id", str(model), "--served-model-name", NAME, "--engine", "torch",
        "--device", "cpu", "--dtype", dtype, "--no-bettertransformer", "--host", "127.0.0.1", "--port", str(port),
        "--no-model-warmup",
    ]  # fmt: skip
    return Command("Infinity", arguments, port, "/health", {"INFINITY_ANONYMOUS_USAGE_STATS": "0"})
