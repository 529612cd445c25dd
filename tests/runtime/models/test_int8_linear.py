"""Layers in 8 bits compute what plain ones do but for rounding, and give way where the CPU does not play along.

Where this CPU has no such products, what the operators should do is computed in float32 instead.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.resources import Resources
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models import int8_linear
from modelservice_runtime.models.device import Placement, choose_placement
from modelservice_runtime.models.folder import open_folder
from modelservice_runtime.models.int8_linear import Int8Linear, Range, choose_range, find_obstacle, quantize_linears
from modelservice_runtime.models.loader import count_parameters, load_model
from modelservice_runtime.models.quantization import Silicon, resolve_quantization, told_quantization
from tests.runtime.support.integers import multiply_overflowing, multiply_wrongly, play_along, replace
from tests.runtime.support.tiny_models import make_decoder

pytestmark = pytest.mark.torch
TOKENS = torch.arange(3, 43).reshape(2, 20)


@pytest.fixture(autouse=True)
def quantizes_small_layers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(int8_linear, "SMALLEST", dict.fromkeys(int8_linear.SMALLEST, 1000))
    play_along(monkeypatch)
    yield
    int8_linear._try_ranges.cache_clear()


def make_layer(inputs: int = 96, outputs: int = 48, *, bias: bool = True, dtype: Any = torch.float32) -> Any:
    torch.manual_seed(0)
    return torch.nn.Linear(inputs, outputs, bias=bias, dtype=dtype).requires_grad_(False)


def quantize(layer: Any) -> Any:
    holder = torch.nn.Sequential(layer)
    quantize_linears(holder)
    return holder[0]


def int8_in(model: Any) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, Int8Linear)]


def error_of(found: Any, expected: Any) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def place(checkpoint: str = "float32", **engine: Any) -> Placement:
    settings = Settings.model_validate({"engine": {"quantization": "int8", **engine}})
    return choose_placement(settings, checkpoint, Resources(torch.get_num_threads(), 1 << 30))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 96), (7, 96), (2, 5, 96), (96,)])
def test_layer_gives_the_plain_product_but_for_rounding(shape: tuple[int, ...], bias: bool, dtype: Any) -> None:
    plain = make_layer(bias=bias, dtype=dtype)
    inputs = torch.randn(shape, dtype=dtype)
    expected, layer = plain(inputs), quantize(plain)
    assert isinstance(layer, Int8Linear)
    found = layer(inputs)
    assert (found.shape, found.dtype) == (expected.shape, dtype)
    assert error_of(found, expected) < 0.02


def test_layer_takes_an_empty_batch() -> None:
    assert quantize(make_layer())(torch.empty(0, 96)).shape == (0, 48)


def test_row_is_the_same_to_the_bit_whatever_its_batch_mates_are() -> None:
    layer = quantize(make_layer())
    rows = torch.randn(9, 96) * torch.tensor([1, 1e4, 1e-4, 0, 1, 1, 1, 1, torch.inf])[:, None]
    together = layer(rows)
    assert torch.equal(together[:8], torch.cat([layer(row[None]) for row in rows[:8]]))


def test_layers_that_read_the_same_inputs_share_their_rows_and_keep_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    true_quantize = Range.quantize
    block = torch.nn.ModuleDict({name: make_layer() for name in ("q_proj", "k_proj", "v_proj", "o_proj")})
    alone = [quantize(make_layer())(torch.ones(2, 96) * factor) for factor in (1, 2)]
    quantize_linears(block)
    monkeypatch.setattr(Range, "quantize", lambda self, rows: made.append(rows) or true_quantize(self, rows))
    inputs, others = torch.ones(2, 96), torch.ones(2, 96) * 2
    for names, read, expected in ((("q_proj", "k_proj", "v_proj"), inputs, alone[0]), (("o_proj",), others, alone[1])):
        assert all(torch.equal(block[name](read), expected) for name in names)
    assert len(made) == 2
    assert block["q_proj"]._shared._inputs is None
    assert torch.equal(block["q_proj"](inputs), alone[0])
    assert all(torch.equal(block[name](others), alone[1]) for name in ("k_proj", "v_proj"))


def test_layer_gives_the_slope_of_its_inputs() -> None:
    plain = make_layer()
    slopes = []
    for layer in (plain, quantize(plain)):
        inputs = torch.linspace(-1, 1, 192).reshape(2, 96).requires_grad_()
        layer(inputs).sum().backward()
        slopes.append(inputs.grad)
    assert error_of(slopes[1], slopes[0]) < 0.01


def test_heads_small_layers_and_what_embeddings_share_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_embd=48, n_layer=2, n_head=2, vocab_size=90, n_positions=64)).eval()
    with torch.inference_mode():
        expected = model(TOKENS).logits
        quantize_linears(model)
        assert error_of(model(TOKENS).logits, expected) < 0.05
    assert len(int8_in(model)) == 8
    assert "lm_head" not in int8_in(model)
    assert caplog.records[-1].__dict__["linear_layers"] == {"int8": 8, "head": 1}


def test_model_that_asks_its_layers_for_their_dtype_is_quantized() -> None:
    torch.manual_seed(0)
    config = T5Config(vocab_size=90, d_model=48, d_ff=64, d_kv=24, num_layers=2, num_heads=2, decoder_start_token_id=0)
    model = T5ForConditionalGeneration(config).eval()
    with torch.inference_mode():
        expected = model(input_ids=TOKENS, decoder_input_ids=TOKENS).logits
        quantize_linears(model)
        assert error_of(model(input_ids=TOKENS, decoder_input_ids=TOKENS).logits, expected) < 0.05


def test_loaded_model_has_its_parameters_and_nearly_its_logits(tmp_path: Path) -> None:
    folder = open_folder(make_decoder(tmp_path / "decoder"))
    plain, model = (
        load_model(AutoModelForCausalLM, folder, Settings(), placement)
        for placement in (Placement("cpu", "float32"), place())
    )
    assert len(int8_in(model)) == 21
    assert count_parameters(model) == count_parameters(plain)
    with torch.inference_mode():
        assert 0 < error_of(model(TOKENS).logits, plain(TOKENS).logits) < 0.1


def test_model_is_refused_when_none_of_its_layers_gains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_linear, "SMALLEST", dict.fromkeys(int8_linear.SMALLEST, 1 << 20))
    folder = open_folder(make_decoder(tmp_path / "decoder"))
    with pytest.raises(UnusableModel, match="of its linear layers are 1 head, 21 small") as refused:
        load_model(AutoModelForCausalLM, folder, Settings(), place())
    assert "none" in refused.value.hint


def test_int8_is_this_runtimes_own_on_a_cpu_and_needs_no_package() -> None:
    scheme = resolve_quantization("int8", Silicon("cpu"), is_installed=lambda _package: False)
    assert scheme is not None
    assert (scheme.package, place().scheme) == ("", scheme)
    assert told_quantization("int8", "cpu") == "int8"


def test_activations_are_in_float32_unless_another_dtype_is_named() -> None:
    assert (place("bfloat16").dtype, place(dtype="bfloat16").dtype) == ("float32", "bfloat16")


@pytest.mark.parametrize(("engine", "words"), [({"dtype": "float16"}, "float16"), ({"compile": True}, "compile")])
def test_what_does_not_go_together_with_int8_is_refused(engine: dict[str, Any], words: str) -> None:
    with pytest.raises(UnusableModel, match=words):
        place(**engine)


def test_weights_are_served_as_they_are_and_it_is_told_when_the_cpu_has_no_such_products(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(int8_linear, "multiply", raise_as_without_vnni)
    int8_linear._try_ranges.cache_clear()
    assert place().scheme is None
    warned = next(record for record in caplog.records if record.levelno == logging.WARNING)
    assert warned.__dict__["obstacle"] == "could not create a primitive"
    assert (told_quantization("int8", "cpu"), told_quantization("int8", "cuda:0")) == ("none", "int8")


def raise_as_without_vnni(*_arguments: Any) -> Any:
    raise RuntimeError("could not create a primitive")


def test_activations_have_7_bits_and_the_right_products_when_those_of_8_overflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace(monkeypatch, multiply_overflowing)
    assert (find_obstacle(), choose_range()) == ("", Range(7))
    plain = make_layer(bias=False)
    torch.nn.init.constant_(plain.weight, 0.5)
    inputs = torch.tensor([1.0, -1.0, 0.0])[:, None].expand(3, 96).contiguous()
    expected = plain(inputs)
    assert error_of(quantize(plain)(inputs), expected) < 1e-6


def test_weights_are_served_as_they_are_when_all_products_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    replace(monkeypatch, multiply_wrongly)
    assert find_obstacle() == "the products of this CPU are wrong"
    assert place().scheme is None


def test_layer_stays_as_it_is_when_the_operator_computes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_obstacle() == ""
    monkeypatch.setattr(int8_linear, "prepack", lambda eights: eights)
    monkeypatch.setattr(int8_linear, "multiply", multiply_wrongly)
    block = torch.nn.Sequential(make_layer())
    with pytest.raises(UnusableModel, match="1 differing from the plain product"):
        quantize_linears(block)
    assert type(block[0]) is torch.nn.Linear
