"""What one token of context costs a decoder, from its `config.json` alone.

Counted are the keys and values of every layer. Windows, shared layers and compressed caches make the true cost smaller,
so for models with any of them nothing is told.
"""

from collections.abc import Mapping
from typing import Any

DECODERS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
SMALLER_CACHES = ("kv_lora_rank", "num_kv_shared_layers", "mamba_d_state", "ssm_cfg")


def max_context_of(config: Mapping[str, Any]) -> int | None:
    """Return the longest context in tokens that a model was made for, None where its configuration does not tell."""
    text = _text_part(config)
    return _count(text, "max_position_embeddings") or _count(text, "n_positions") or None


def cache_values_of(config: Mapping[str, Any]) -> int | None:
    """Return how many numbers one token takes in the KV cache, None for what is no plain decoder."""
    names, text = config.get("architectures"), _text_part(config)
    name = str(names[0]) if isinstance(names, list) and names else ""
    if not name.endswith(DECODERS) or config.get("is_encoder_decoder") or _has_smaller_cache(text):
        return None
    layers = _count(text, "num_hidden_layers") or _count(text, "n_layer")
    heads = _count(text, "num_attention_heads") or _count(text, "n_head")
    width = _count(text, "hidden_size") or _count(text, "n_embd")
    if not (layers and heads and width):
        return None
    groups = _count(text, "num_key_value_heads") or heads
    return 2 * layers * groups * (_count(text, "head_dim") or width // heads)


def _has_smaller_cache(text: Mapping[str, Any]) -> bool:
    has_window = text.get("sliding_window") and text.get("use_sliding_window", True)
    kinds = text.get("layer_types")
    is_mixed = isinstance(kinds, list) and any(kind != "full_attention" for kind in kinds)
    return bool(has_window) or is_mixed or any(text.get(key) for key in SMALLER_CACHES)


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part that describes the decoder of a model that also sees or hears."""
    part = config.get("text_config")
    return part if isinstance(part, Mapping) else config


def _count(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
