"""The cost of a context follows from the configuration, and nothing is told where it would be wrong."""

from typing import Any

import pytest

from modelservice_runtime.sources.context import cache_values_of, max_context_of

QWEN: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "hidden_size": 896,
    "max_position_embeddings": 32768,
}
GPT: dict[str, Any] = {
    "architectures": ["GPT2LMHeadModel"], "n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "values", "context"),
    [
        (QWEN, 2 * 24 * 2 * 64, 32768),
        ({**QWEN, "head_dim": 128}, 2 * 24 * 2 * 128, 32768),
        (GPT, 2 * 12 * 12 * 64, 1024),
        ({"architectures": ["XForConditionalGeneration"], "text_config": QWEN}, 2 * 24 * 2 * 64, 32768),
        ({**QWEN, "sliding_window": 4096}, None, 32768),
        ({**QWEN, "sliding_window": 4096, "use_sliding_window": False}, 2 * 24 * 2 * 64, 32768),
        ({**QWEN, "layer_types": ["full_attention"] * 24}, 2 * 24 * 2 * 64, 32768),
        ({**QWEN, "layer_types": ["full_attention", "linear_attention"] * 12}, None, 32768),
        ({**QWEN, "architectures": ["BertModel"]}, None, 32768),
        ({**QWEN, "is_encoder_decoder": True}, None, 32768),
        ({**QWEN, "num_hidden_layers": "many"}, None, 32768),
        ({}, None, None),
    ],
)
def test_cache_and_context_are_told_for_plain_decoders(
    config: dict[str, Any], values: int | None, context: int | None
) -> None:
    assert cache_values_of(config) == values
    assert max_context_of(config) == context
