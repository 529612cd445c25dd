"""Binaries that the tests of packaging run: named by an environment variable, else had from the cluster harness."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 900


def tool(name: str) -> Path:
    """The path of the binary `name`; the variable of that name in capitals (HELM, KIND) overrides.

    Raises:
        RuntimeError: with the harness' own words, when it can neither find nor build the binary.
    """
    named = os.environ.get(name.upper())
    if named:
        found = shutil.which(named)
        if found is None:
            raise RuntimeError(f"{name.upper()}={named} is no executable file")
        return Path(found)
    command = [sys.executable, "-m", "tests.cluster", "tool", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, cwd=ROOT, check=False)
    if done.returncode:
        raise RuntimeError(f"no {name}: {done.stderr.strip() or done.stdout.strip()}")
    return Path(done.stdout.strip().splitlines()[-1])
