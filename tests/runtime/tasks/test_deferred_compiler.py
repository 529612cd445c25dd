"""That a model answers as before without torch's compiler, and that the compiler is there for whoever asks for it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from modelservice_runtime.config import Settings
from modelservice_runtime.models.folder import ModelFolder
from modelservice_runtime.tasks.deferred_compiler import may_defer

DEFER = """
import json, sys
from modelservice_runtime.tasks.deferred_compiler import defer_compiler

defer_compiler()
"""
ANSWER = """
from pathlib import Path
from modelservice_runtime.config import Settings
from modelservice_runtime.models.folder import open_folder
from modelservice_runtime.tasks.base import find_task
from modelservice_runtime.tasks.unneeded import hide_unneeded

folder = open_folder(Path(sys.argv[1]))
settings = Settings.model_validate({"model": {"path": sys.argv[1]}, "engine": {"dtype": "float32"}})
hide_unneeded(find_task("text-generation"), folder, settings)
from modelservice_runtime.preparing.served import ServedModel
from modelservice_runtime.tasks.inputs import GenerationOptions, TextPrompts

served = ServedModel(find_task("text-generation"), folder, settings)
answers = served.answer(TextPrompts([[5, 6, 7]], GenerationOptions(6, 0.0, 1.0, 0, 0, (), 1))).answers
print(json.dumps({"tokens": list(answers[0].tokens), "loaded": list(sys.modules)}))
"""
COMPILE = """
import torch

before = "torch._dynamo.eval_frame" in sys.modules
twice = torch.compile(lambda x: x + x, backend="eager")
print(json.dumps({"before": before, "sum": twice(torch.ones(2)).tolist(), "loaded": list(sys.modules)}))
"""
PARTS = """
import torch
from torch._dynamo.utils import counters
from torch.distributed.tensor.placement_types import Shard

print(json.dumps({"shard": Shard(0).dim, "counters": type(counters).__name__}))
"""
EARLIER = """
import json, sys
import torch, torch._dynamo
from modelservice_runtime.tasks.deferred_compiler import defer_compiler

distributed = torch.distributed.is_available()
defer_compiler()
same = torch.distributed.is_available() == distributed
print(json.dumps({"same": same, "whole": hasattr(torch._dynamo, "optimize")}))
"""


def run(script: str, *arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.torch
def test_a_model_answers_as_before_and_nothing_of_the_compiler_is_loaded(tmp_path: Path) -> None:
    from tests.runtime.support.tiny_models import make_decoder  # noqa: PLC0415 - imports transformers

    folder = make_decoder(tmp_path / "tiny")
    plain, deferred = run("import json, sys\n" + ANSWER, str(folder)), run(DEFER + ANSWER, str(folder))
    assert deferred["tokens"] == plain["tokens"]
    heavy = {"torch._dynamo.eval_frame", "torch._inductor", "torch.distributed.tensor.placement_types"}
    assert heavy <= set(plain["loaded"])
    assert not heavy & set(deferred["loaded"])


@pytest.mark.torch
def test_the_compiler_works_for_whoever_asks_for_it() -> None:
    said = run(DEFER + COMPILE)
    assert not said["before"]
    assert said["sum"] == [2.0, 2.0]
    assert "torch._dynamo.eval_frame" in said["loaded"]


@pytest.mark.torch
def test_whoever_imports_a_part_gets_it() -> None:
    assert run(DEFER + PARTS) == {"shard": 0, "counters": "defaultdict"}


@pytest.mark.torch
def test_nothing_changes_where_the_compiler_is_there_already() -> None:
    assert run(EARLIER) == {"same": True, "whole": True}


@pytest.mark.parametrize(
    ("sections", "quantized", "expected"),
    [
        ({}, "", True),
        ({"engine": {"compile": True}}, "", False),
        ({"engine": {"backend": "transformers"}}, "", False),
        ({"engine": {"quantization": "bnb-int8"}}, "", False),
        ({}, "torchao", False),
        ({"model": {"path": "/m", "trust_remote_code": True}}, "", False),
    ],
)
def test_the_compiler_stays_where_something_may_compile(
    sections: dict[str, Any], quantized: str, expected: bool
) -> None:
    folder = cast(ModelFolder, SimpleNamespace(quantization=quantized))
    settings = Settings.model_validate({"model": {"path": "/m"}, **sections})
    assert may_defer(folder, settings) is expected
