"""Models that are refused while they load, each with the reason and the way out."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from modelservice_runtime.errors import RuntimeFault, UnusableModel
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch


@pytest.fixture
def folder(tmp_path: Path, decoder_folder: Path) -> Path:
    return Path(shutil.copytree(decoder_folder, tmp_path / "model"))


def edit_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def refusal(folder: Path, **sections: Any) -> RuntimeFault:
    server = RunningServer(folder, **sections)
    with pytest.raises(UnusableModel) as raised:
        server.wait_ready()
    server.join()
    return raised.value


def test_model_is_refused_when_there_is_no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    fault = refusal(folder)
    assert "no tokenizer" in str(fault)
    assert fault.exit_code == 65


def test_model_is_refused_when_it_needs_code_of_its_repository(folder: Path) -> None:
    edit_config(folder, model_type="homemade", auto_map={"AutoModelForCausalLM": "modeling_homemade.Homemade"})
    fault = refusal(folder)
    assert "code" in str(fault)
    assert "trustRemoteCode" in fault.hint


def test_native_class_is_used_when_a_repository_also_brings_code(folder: Path) -> None:
    edit_config(folder, auto_map={"AutoModelForCausalLM": "modeling_homemade.Homemade"})
    server = RunningServer(folder).wait_ready()
    assert server.post("/v1/completions", prompt="a", max_tokens=2).status_code == 200
    server.stop()


def test_model_is_refused_when_weights_are_missing(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "model.layers.1.mlp.up_proj.weight" in str(refusal(folder))


def test_model_is_refused_when_its_architecture_is_unknown(folder: Path) -> None:
    edit_config(folder, architectures=["QuantumForCausalLM"], model_type="quantum")
    assert "quantum" in str(refusal(folder))


def test_model_is_refused_when_no_task_fits(folder: Path) -> None:
    edit_config(folder, architectures=["LlamaForMultipleChoice"])
    fault = refusal(folder)
    assert "LlamaForMultipleChoice" in str(fault)
    assert "text-generation" in fault.hint


@pytest.mark.parametrize(
    ("engine", "words"),
    [({"quantization": "fp8"}, "quantization"), ({"max_context": 999}, "256")],
)
def test_setting_is_refused_rather_than_ignored_when_unavailable(
    decoder_folder: Path, engine: dict[str, Any], words: str
) -> None:
    assert words in str(refusal(decoder_folder, engine=engine))


def test_status_and_metrics_name_the_dtype_when_it_is_explicit(decoder_folder: Path) -> None:
    server = RunningServer(decoder_folder, engine={"dtype": "bfloat16"}).wait_ready()
    assert server.admin.get("/status").json()["model"]["dtype"] == "bfloat16"
    assert server.post("/v1/completions", prompt="a", max_tokens=2).status_code == 200
    server.stop()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtype_is_what_the_settings_say(decoder_folder: Path, dtype: str) -> None:
    with running(decoder_folder, engine={"dtype": dtype}) as server:
        task: Any = server.process.service.task
        assert server.admin.get("/status").json()["model"]["dtype"] == dtype
        assert str(next(task.scheduler._runner._model.parameters()).dtype) == f"torch.{dtype}"
        assert server.post("/v1/completions", prompt="the", max_tokens=3).status_code == 200
