"""What is pruned is what the samples miss least, and the result is a model that plain transformers loads."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageClassification, Gemma2ForCausalLM

from modelservice_runtime.errors import BadSettings, UnusableModel
from modelservice_runtime.preparing.options import PrepareOptions, parse_layers
from modelservice_runtime.preparing.report import Report
from modelservice_runtime.preparing.run import prepare_model
from tests.matrix.support.vision import make_clip, make_vit
from tests.runtime.preparing.test_preparation import weights_of
from tests.runtime.support.server import running
from tests.runtime.support.tiny_models import byte_level_tokenizer, make_classifier, make_decoder

pytestmark = pytest.mark.torch

IDS = torch.tensor([[5, 17, 40, 8]])


def prepare(source: Path, target: Path, **options: Any) -> Report:
    return prepare_model(PrepareOptions(str(source), target, **{"rounds": 0, **options}))


def change(folder: Path, edit: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        edit(name, tensor)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def logits_of(folder: Path) -> torch.Tensor:
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(folder)(IDS).logits


def make_gemma(folder: Path) -> Path:
    """A model whose kinds of layers alternate, with a size of heads of its own."""
    tokenizer = byte_level_tokenizer(False)
    torch.manual_seed(4)
    config = AutoConfig.for_model(
        "gemma2", vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=64, sliding_window=16,
        pad_token_id=1, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    Gemma2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_layer_that_changes_nothing_is_the_one_that_goes(tmp_path: Path) -> None:
    source = make_decoder(tmp_path / "source")

    def idle(name: str, tensor: torch.Tensor) -> None:
        if name.startswith("model.layers.1.") and name.endswith(("o_proj.weight", "down_proj.weight")):
            tensor.zero_()

    change(source, idle)
    report = prepare(source, tmp_path / "made", prune_layers=1)
    assert report.changes == ["layers 1 of 3 dropped"]
    assert json.loads((tmp_path / "made/config.json").read_text())["num_hidden_layers"] == 2
    assert report.after.parameters < report.before.parameters
    torch.testing.assert_close(logits_of(tmp_path / "made"), logits_of(source))
    with running(tmp_path / "made") as server:
        assert server.post("/v1/completions", prompt="the fox", max_tokens=3).status_code == 200


def test_heads_whose_output_is_not_used_are_those_that_go(tmp_path: Path) -> None:
    source = make_decoder(tmp_path / "source")
    unused = (0, 1, 0)

    def ignore(name: str, tensor: torch.Tensor) -> None:
        if name.endswith("o_proj.weight"):
            group = unused[int(name.split(".")[2])]
            tensor[:, 32 * group : 32 * group + 32] = 0

    change(source, ignore)
    report = prepare(source, tmp_path / "made", prune_heads=2)
    assert report.changes == ["2 of 4 attention heads of every layer dropped (1 of 2 groups)"]
    config = json.loads((tmp_path / "made/config.json").read_text())
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (2, 1, 16)
    torch.testing.assert_close(logits_of(tmp_path / "made"), logits_of(source))
    with running(tmp_path / "made") as server:
        assert server.post("/v1/completions", prompt="the fox", max_tokens=3).status_code == 200


def test_named_layers_go_with_their_kinds(tmp_path: Path) -> None:
    source = make_gemma(tmp_path / "source")
    kinds = AutoConfig.from_pretrained(source).layer_types
    prepare(source, tmp_path / "made", drop_layers=parse_layers("3, 1"), prune_heads=2, dtype="bfloat16")
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "made")
    assert made.config.layer_types == [kinds[0], kinds[2]]
    assert (made.config.num_hidden_layers, made.config.num_attention_heads) == (2, 2)
    before, after = weights_of(source), weights_of(tmp_path / "made")
    kept = before["model.layers.2.mlp.up_proj.weight"].to(torch.bfloat16)
    assert torch.equal(after["model.layers.1.mlp.up_proj.weight"], kept)


@pytest.mark.parametrize("make", [make_vit, make_classifier])
def test_encoders_lose_layers(tmp_path: Path, make: Any) -> None:
    report = prepare(make(tmp_path / "source"), tmp_path / "made", prune_layers=1, rounds=1)
    assert report.comparison is not None
    assert json.loads((tmp_path / "made/config.json").read_text())["num_hidden_layers"] == 1
    assert report.changes[0].endswith("of 2 dropped")


def test_vit_loads_without_a_layer_as_the_layer_after_it(tmp_path: Path) -> None:
    source = make_vit(tmp_path / "source")
    prepare(source, tmp_path / "made", drop_layers=(0,))
    whole, made = (AutoModelForImageClassification.from_pretrained(each) for each in (source, tmp_path / "made"))
    names = [name for name, _ in made.named_parameters() if ".0." in name]
    assert names
    parameters = dict(whole.named_parameters())
    for name in names:
        assert torch.equal(dict(made.named_parameters())[name], parameters[name.replace(".0.", ".1.", 1)])


@pytest.mark.parametrize(
    ("make", "options", "fault", "words"),
    [
        (make_classifier, {"prune_heads": 1}, UnusableModel, "attention heads of bert cannot be pruned"),
        (make_clip, {"prune_layers": 1}, UnusableModel, "layers of clip cannot be pruned"),
        (make_decoder, {"prune_heads": 3}, BadSettings, "--prune-heads 3: of 4 heads in 2 groups"),
        (make_decoder, {"prune_layers": 3}, BadSettings, "--prune-layers: the model has 3 layers"),
        (make_decoder, {"drop_layers": (3,)}, BadSettings, "--drop-layers: the model has 3 layers"),
    ],
)
def test_pruning_is_refused_by_name(
    tmp_path: Path, make: Any, options: dict[str, Any], fault: type[Exception], words: str
) -> None:
    source = make(tmp_path / "source")
    with pytest.raises(fault, match=words):
        prepare(source, tmp_path / "made", **options)
    assert not (tmp_path / "made").exists()


def test_layers_are_counted_or_named_but_not_both(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="both choose layers"):
        PrepareOptions("source", tmp_path, prune_layers=1, drop_layers=(0,))
