"""Tiny random decoders of the families that people deploy, with what sets each apart.

Windows are shorter than the prompts, heads are grouped, layers alternate, experts are chosen: whatever a mask or a
position that is wrong by one would change. Weights are large enough that greedy texts do not repeat one token.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.runtime.support.tiny_models import byte_level_tokenizer

LONGEST = 128
WINDOW = 8


def make_decoder(folder: Path, *, family: str, seed: int, **changes: Any) -> Path:
    """Save a random decoder of a family (`model_type`) with a byte-level tokenizer."""
    tokenizer = byte_level_tokenizer(chat=True)
    config = AutoConfig.for_model(
        family,
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "max_position_embeddings": LONGEST,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
            "initializer_range": 0.3,
            **changes,
        },
    )
    torch.manual_seed(seed)
    AutoModelForCausalLM.from_config(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


GROUPED: dict[str, Any] = {"num_key_value_heads": 2}
WINDOWED: dict[str, Any] = {**GROUPED, "sliding_window": WINDOW}
HALF_WINDOWED: dict[str, Any] = {
    **WINDOWED,
    "head_dim": 8,
    "tie_word_embeddings": False,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
SCALED: dict[str, Any] = {
    "rope_type": "longrope", "original_max_position_embeddings": LONGEST // 2,
    "short_factor": [1.0, 1.1, 1.3, 1.5], "long_factor": [1.0, 2.0, 3.0, 4.0],
}  # fmt: skip
EXPERTS: dict[str, Any] = {**GROUPED, "num_experts_per_tok": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 16},
    "mistral": WINDOWED,
    "gemma2": HALF_WINDOWED,
    "gemma3_text": HALF_WINDOWED,
    "phi": {},
    "phi3": {
        **WINDOWED,
        "original_max_position_embeddings": LONGEST // 2,
        "rope_parameters": {**SCALED, "rope_theta": 10000.0},
    },
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": LONGEST},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.3},
    "gpt_neox": {"rotary_pct": 0.5},
    "mixtral": {**EXPERTS, "num_local_experts": 4},
    "qwen2_moe": {**EXPERTS, "num_experts": 4, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 32},
}
MAKERS: dict[str, Callable[[Path], Path]] = {
    family: partial(make_decoder, family=family, seed=seed, **changes)
    for seed, (family, changes) in enumerate(FAMILIES.items())
}
UNSUPPORTED: dict[str, tuple[str, dict[str, Any]]] = {
    "bloom": ("BloomForCausalLM", {"n_head": 4, "n_layer": 3}),
    "falcon": ("FalconForCausalLM", {"alibi": True}),
    "llama4_text": ("Llama4ForCausalLM", {**GROUPED, "head_dim": 8, "num_local_experts": 2, "attention_chunk_size": 8}),
    "mamba": ("MambaForCausalLM", {"state_size": 4}),
}
