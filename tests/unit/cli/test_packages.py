"""The plugin runs on the packages of `modelservice[cli]`, without those of the operator and the runtime."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in sys.argv[1:]:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import modelservice_operator.cli.__main__, modelservice_operator.cli.completion
"""


def _packages(requirements: list[str]) -> set[str]:
    """The modules of requirements; the few that are called otherwise than their package are not among ours."""
    names = (re.split(r"[<>=;\[ ]", requirement)[0] for requirement in requirements)
    return {name.replace("-", "_").replace("python_json_logger", "pythonjsonlogger") for name in names}


def test_commands_can_be_imported_with_the_packages_of_their_extra_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: _packages(found) for name, found in project["optional-dependencies"].items()}
    missing = (extras["operator"] | extras["runtime"]) - extras["cli"] - _packages(project["dependencies"])
    assert {"kopf", "prometheus_client", "torch"} <= missing
    command = [sys.executable, "-c", CODE, *sorted(missing)]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "operator", check=False)
    assert answer.returncode == 0, answer.stderr
