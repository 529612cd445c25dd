"""Packed layers compute what plain ones do, and give way where the CPU or the operators do not play along."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from modelservice_runtime.config import Settings
from modelservice_runtime.models import packed_linear
from modelservice_runtime.models.device import Placement
from modelservice_runtime.models.folder import open_folder
from modelservice_runtime.models.loader import count_parameters, load_model
from modelservice_runtime.models.packed_linear import PackedLinear, find_obstacle, pack_linears
from tests.runtime.support.tiny_models import make_decoder

pytestmark = pytest.mark.torch
TOKENS = torch.arange(3, 43).reshape(2, 20)


@pytest.fixture(autouse=True)
def packs_small_layers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(packed_linear, "SMALLEST", dict.fromkeys(packed_linear.SMALLEST, 1000))
    find_obstacle.cache_clear()
    yield
    find_obstacle.cache_clear()


def make_layer(inputs: int = 96, outputs: int = 48, *, bias: bool = True) -> Any:
    torch.manual_seed(0)
    return torch.nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)


def pack(layer: Any) -> Any:
    holder = torch.nn.Sequential(layer)
    pack_linears(holder)
    return holder[0]


def packed_in(model: Any) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, PackedLinear)]


def make_gpt2() -> Any:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_embd=48, n_layer=2, n_head=2, vocab_size=90, n_positions=64)).eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 96), (7, 96), (2, 5, 96), (0, 96), (96,)])
def test_packed_layer_gives_the_plain_product(shape: tuple[int, ...], bias: bool) -> None:
    plain = make_layer(bias=bias)
    inputs = torch.randn(shape)
    expected = plain(inputs)
    packed = pack(plain)
    assert isinstance(packed, PackedLinear)
    assert torch.allclose(packed(inputs), expected, atol=1e-5)


def test_packed_layer_gives_the_slope_of_its_inputs() -> None:
    plain = make_layer()
    slopes = []
    for layer in (plain, pack(plain)):
        inputs = torch.linspace(-1, 1, 192).reshape(2, 96).requires_grad_()
        layer(inputs).square().sum().backward()
        slopes.append(inputs.grad)
    assert torch.allclose(*slopes, atol=1e-5)


def test_weight_has_its_shape_and_values_when_a_model_multiplies_by_it_itself() -> None:
    plain = make_layer()
    packed = pack(plain)
    inputs = torch.randn(3, 96)
    assert (packed.weight.shape, packed.weight.dtype, packed.weight.numel()) == ((48, 96), torch.float32, 48 * 96)
    assert torch.equal(
        torch.nn.functional.linear(inputs, packed.weight), torch.nn.functional.linear(inputs, plain.weight)
    )


def test_small_layers_and_other_dtypes_stay_as_they_are() -> None:
    assert not isinstance(pack(make_layer(10, 10)), PackedLinear)
    assert not isinstance(pack(make_layer().to(torch.float64)), PackedLinear)


def test_bfloat16_is_packed_where_the_cpu_can_and_stays_where_it_cannot(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = make_layer().to(torch.bfloat16)
    inputs = torch.randn(4, 96, dtype=torch.bfloat16)
    assert torch.allclose(pack(plain)(inputs).float(), plain(inputs).float(), atol=2e-2)
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(packed_linear, "reorder", raise_as_without_avx512)
    find_obstacle.cache_clear()
    assert pack(plain) is plain
    assert caplog.records[-1].__dict__["linear_layers"] == {"bf16 path needs the cpu support": 1}


def raise_as_without_avx512(_weight: Any) -> Any:
    raise RuntimeError("bf16 path needs the cpu support")


def test_layer_stays_as_it_is_when_the_operator_computes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_obstacle(torch.float32) == ""
    true_reorder = packed_linear.reorder
    monkeypatch.setattr(packed_linear, "reorder", lambda weight: true_reorder(weight * 1.01))
    plain = make_layer()
    assert pack(plain) is plain


def test_transposed_layers_of_gpt2_are_packed() -> None:
    model = make_gpt2()
    with torch.inference_mode():
        expected = model(TOKENS).logits
        pack_linears(model)
        assert torch.allclose(model(TOKENS).logits, expected, atol=1e-5)
    assert {"transformer.h.0.attn.c_attn", "transformer.h.1.mlp.c_proj", "lm_head"} <= set(packed_in(model))


def test_weight_shared_with_a_large_embedding_is_not_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_linear, "LARGEST_SHARED_BYTES", 1000)
    model = make_gpt2()
    pack_linears(model)
    assert "lm_head" not in packed_in(model)
    assert packed_in(model)


def test_weight_shared_with_an_embedding_is_counted_once() -> None:
    model = make_gpt2()
    known = sum(parameter.numel() for parameter in model.parameters())
    pack_linears(model)
    assert isinstance(model.lm_head, PackedLinear)
    assert model.lm_head.weight is model.transformer.wte.weight
    assert count_parameters(model) == known


def test_model_that_asks_its_layers_for_their_dtype_is_packed_without_a_second_copy() -> None:
    torch.manual_seed(0)
    config = T5Config(vocab_size=90, d_model=48, d_ff=64, d_kv=24, num_layers=2, num_heads=2, decoder_start_token_id=0)
    model = T5ForConditionalGeneration(config).eval()
    with torch.inference_mode():
        expected = model(input_ids=TOKENS, decoder_input_ids=TOKENS).logits
        pack_linears(model)
        assert torch.allclose(model(input_ids=TOKENS, decoder_input_ids=TOKENS).logits, expected, atol=1e-4)
    assert model.lm_head.weight is model.shared.weight
    weights = [weight for weight in model.parameters() if isinstance(weight, packed_linear.PackedWeight)]
    assert weights
    assert all(weight._plain is None for weight in weights)


def test_loaded_model_keeps_no_view_of_the_file_and_writes_the_same_text(tmp_path: Path) -> None:
    folder = make_decoder(tmp_path / "decoder")
    model = load_model(AutoModelForCausalLM, open_folder(folder), Settings(), Placement("cpu", "float32"))
    assert str(folder) not in Path("/proc/self/maps").read_text()
    plain = AutoModelForCausalLM.from_pretrained(folder)
    assert len(packed_in(model)) == 22
    assert all(
        tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        for tensor in model.parameters()
        if not isinstance(tensor, packed_linear.PackedWeight)
    )
    made = [each.generate(TOKENS, max_new_tokens=20, do_sample=False).tolist() for each in (model, plain)]
    assert made[0] == made[1]
