"""Tiny random LoRA adapters for the tiny decoder, written by peft, and the model with one merged into its weights."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM


def make_adapter(folder: Path, base: Path, *, seed: int, **changes: Any) -> Path:
    """Save an adapter whose products are as large as the weights beside them."""
    torch.manual_seed(seed)
    config = LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **changes}
    )
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=0.3)
    model.save_pretrained(folder)
    return folder


def load_merged(base: Path, adapter: Path | None) -> Any:
    """Return transformers' model with an adapter merged into it by peft, or as it is."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter is None:
        return model.eval()
    return PeftModel.from_pretrained(model, adapter).merge_and_unload().eval()
