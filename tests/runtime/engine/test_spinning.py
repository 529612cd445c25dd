"""How long threads spin: a default that reaches the library, and what others decided."""

import os
import subprocess
import sys

import pytest

from modelservice_runtime.engine.spinning import COUNT, POLICY, SPIN_COUNT, limit_spinning

SCRIPT = """
import os
from modelservice_runtime.engine.spinning import limit_spinning
limit_spinning(os.environ)
import torch
"""


@pytest.mark.parametrize("decided", [{COUNT: "7"}, {POLICY: "ACTIVE"}, {COUNT: "7", POLICY: "PASSIVE"}])
def test_decision_of_others_stands(decided: dict[str, str]) -> None:
    environment = dict(decided)
    limit_spinning(environment)
    assert environment == decided


@pytest.mark.torch
def test_library_reads_the_limit_when_torch_is_imported_after_it_was_set() -> None:
    kept = {name: value for name, value in os.environ.items() if name not in (COUNT, POLICY)}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert f"{COUNT} = '{SPIN_COUNT}'" in done.stderr
