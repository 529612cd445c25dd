"""Binaries that the tests of packaging run: named by an environment variable, else built by the cluster harness."""

import os
import shutil
from pathlib import Path

from tests.cluster import binaries

ROOT = Path(__file__).resolve().parents[2]


def tool(name: str) -> Path:
    """The path of the binary `name`; the variable of that name in capitals (HELM, KIND) overrides.

    Raises:
        FileNotFoundError: the variable names no executable file.
        ClusterError: the harness can neither find nor build the binary; the message says why.
    """
    named = os.environ.get(name.upper())
    if not named:
        return binaries.ensure([name]) / name
    found = shutil.which(named)
    if found is None:
        raise FileNotFoundError(f"{name.upper()}={named} is no executable file")
    return Path(found)
