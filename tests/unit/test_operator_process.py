"""The process ends when its work has, whatever is still under way."""

import subprocess
import sys

from tests.support.operators import ROOT

STUBBORN = """
import asyncio
from modelservice_operator import process
process.CLOSE_SECONDS = 0.2
kept = []

async def stay():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue

async def work(kubeconfig, work):
    kept.append(asyncio.create_task(stay()))
    await asyncio.sleep(0)
    return 7

process._logged_in = work
raise SystemExit(process.run_in_cluster(None, "INFO", work))
"""


def test_process_ends_with_its_status_when_a_task_refuses_to_end() -> None:
    environment = {"PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run([sys.executable, "-c", STUBBORN], env=environment, timeout=60, check=False)
    assert done.returncode == 7
