"""A model whose classes are Python code of its own repository: run when it is trusted, and only then."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelservice_runtime.errors import UnusableModel
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_models import make_classifier

CONFIGURATION = """
from transformers import PretrainedConfig


class CountingConfig(PretrainedConfig):
    model_type = "counting"

    def __init__(self, vocab_size=300, **others):
        self.vocab_size = vocab_size
        super().__init__(**others)
"""
MODELING = """
import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from .configuration_counting import CountingConfig


class CountingForSequenceClassification(PreTrainedModel):
    '''The logits are the number of tokens, its half and nothing.'''

    config_class = CountingConfig

    def __init__(self, config):
        super().__init__(config)
        self.scale = torch.nn.Parameter(torch.ones(3))
        self.post_init()

    def forward(self, input_ids, attention_mask=None, **others):
        count = attention_mask.sum(dim=-1, keepdim=True).float()
        return SequenceClassifierOutput(logits=torch.cat([count, count / 2, count * 0], dim=-1) * self.scale)
"""
CLASSES = {
    "AutoConfig": "configuration_counting.CountingConfig",
    "AutoModelForSequenceClassification": "modeling_counting.CountingForSequenceClassification",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer, weights of three numbers, and the code that makes a classifier of them."""
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    folder = make_classifier(tmp_path / "counting")
    save_file({"scale": torch.ones(3)}, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "configuration_counting.py").write_text(CONFIGURATION)
    (folder / "modeling_counting.py").write_text(MODELING)
    _configure(folder, CLASSES)
    return folder


def _configure(folder: Path, classes: dict[str, Any]) -> None:
    labels = {"0": "many", "1": "some", "2": "none"}
    config = {
        "model_type": "counting",
        "architectures": ["CountingForSequenceClassification"],
        "auto_map": classes,
        "id2label": labels,
        "label2id": {name: int(number) for number, name in labels.items()},
        "vocab_size": 300,
    }
    (folder / "config.json").write_text(json.dumps(config))


def _refusal(folder: Path, **naming: Any) -> UnusableModel:
    server = RunningServer(folder, naming=naming)
    with pytest.raises(UnusableModel) as raised:
        server.wait_ready()
    server.join()
    return raised.value


def test_code_of_the_repository_computes_the_answer_when_it_is_trusted(folder: Path) -> None:
    with running(folder, naming={"trust_remote_code": True}) as server:
        answer = server.post("/v1/classify", input=["red", "red blue red blue"])
    assert answer.status_code == 200
    scores = [{entry["label"]: entry["score"] for entry in item["labels"]} for item in answer.json()["data"]]
    assert scores[0]["many"] == pytest.approx(0.7856, abs=1e-3)  # softmax of 3, 1.5 and 0: [CLS] red [SEP]
    assert scores[1]["many"] == pytest.approx(0.9503, abs=1e-3)  # softmax of 6, 3 and 0


def test_code_of_the_repository_does_not_run_when_nobody_trusts_it(folder: Path) -> None:
    traces = folder.parent / "ran"
    for name in ("configuration_counting.py", "modeling_counting.py"):
        (folder / name).write_text(f"open({str(traces)!r}, 'w')\n" + (folder / name).read_text())
    assert "trustRemoteCode" in _refusal(folder).hint
    assert not traces.exists()


def test_code_of_another_repository_is_refused_even_when_trusted(folder: Path) -> None:
    _configure(folder, {**CLASSES, "AutoConfig": f"other/repository--{CLASSES['AutoConfig']}"})
    refused = _refusal(folder, trust_remote_code=True)
    assert "other/repository--configuration_counting" in str(refused)
    assert refused.hint
