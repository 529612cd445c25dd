"""Which packages are hidden from transformers, and that a model answers without them."""

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
from modelservice_runtime.tasks.base import find_task
from modelservice_runtime.tasks.unneeded import find_unneeded, hide_unneeded

SCRIPT = """
import json, sys
from modelservice_runtime.config import Settings
from modelservice_runtime.models.folder import open_folder
from modelservice_runtime.tasks.base import find_task
from modelservice_runtime.tasks.unneeded import hide_unneeded
from pathlib import Path

folder = open_folder(Path(sys.argv[1]))
settings = Settings.model_validate({"model": {"path": sys.argv[1]}, "engine": {"dtype": "float32"}})
hide_unneeded(find_task("text-generation"), folder, settings)
from modelservice_runtime.preparing.served import ServedModel
from modelservice_runtime.tasks.inputs import GenerationOptions, TextPrompts

served = ServedModel(find_task("text-generation"), folder, settings)
answers = served.answer(TextPrompts([[5, 6, 7]], GenerationOptions(6, 0.0, 1.0, 0, 0, (), 1))).answers
loaded = [name for name, module in sys.modules.items() if module]
print(json.dumps({"tokens": list(answers[0].tokens), "loaded": loaded}))
"""


def unneeded(task: str, *, quantized: str = "", **sections: dict[str, Any]) -> set[str]:
    folder = cast(ModelFolder, SimpleNamespace(quantization=quantized))
    settings = Settings.model_validate({"model": {"path": "/m"}, **sections})
    return set(find_unneeded(find_task(task), folder, settings))


def test_a_text_model_on_a_cpu_needs_neither_images_nor_quantization_nor_triton() -> None:
    assert unneeded("chat") >= {"torchvision", "timm", "torchao", "bitsandbytes", "triton"}
    assert unneeded("automatic-speech-recognition") == unneeded("chat")


def test_packages_for_images_stay_when_the_task_reads_or_draws_them() -> None:
    assert not unneeded("object-detection") & {"torchvision", "timm"}
    assert not unneeded("image-text-to-text") & {"torchvision", "timm"}
    assert not unneeded("text-to-image")


@pytest.mark.parametrize("how", [{"engine": {"quantization": "bnb-int8"}}, {"quantized": "torchao"}])
def test_packages_for_quantized_weights_stay_when_there_are_any(how: dict[str, Any]) -> None:
    assert not unneeded("chat", **how) & {"torchao", "bitsandbytes", "triton"}


def test_triton_stays_when_there_is_an_accelerator() -> None:
    assert "triton" not in unneeded("chat", accelerator={"count": 1})
    assert "triton" in unneeded("chat", accelerator={"count": 1, "simulated": True})


def test_nothing_is_hidden_when_transformers_has_looked_around_or_a_model_brings_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = cast(ModelFolder, SimpleNamespace(quantization=""))
    monkeypatch.setitem(sys.modules, "transformers", sys)
    hide_unneeded(find_task("chat"), folder, Settings.model_validate({"model": {"path": "/m"}}))
    monkeypatch.delitem(sys.modules, "transformers")
    trusting = Settings.model_validate({"model": {"path": "/m", "trust_remote_code": True}})
    hide_unneeded(find_task("chat"), folder, trusting)
    assert None not in [sys.modules.get(name, sys) for name in ("torchvision", "triton")]


@pytest.mark.torch
def test_a_model_answers_as_before_when_packages_are_hidden(tmp_path: Path) -> None:
    from tests.runtime.support.tiny_models import make_decoder  # noqa: PLC0415 - imports transformers

    folder = make_decoder(tmp_path / "tiny")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], env=environment, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    assert said["tokens"] == generated(folder, [5, 6, 7], 6)
    assert not {"torchvision", "timm", "torchao", "bitsandbytes", "triton", "sklearn"} & set(said["loaded"])


def generated(folder: Path, prompt: list[int], count: int) -> list[int]:
    """What transformers' own `generate` answers."""
    import torch  # noqa: PLC0415 - only this test needs it
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([prompt])
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
    tokens: list[int] = made[0, len(prompt) :].tolist()
    return tokens
