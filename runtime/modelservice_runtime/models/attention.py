"""Which implementation of attention a model uses: flash attention where it can, else torch's own.

Flash attention takes masks of padding only. The decoders over a slot cache mask each row by itself, so they stay with
torch's `scaled_dot_product_attention`, which takes any mask; encoders need no more than padding.
"""

import logging
from collections.abc import Callable
from typing import Any

from modelservice_runtime.models.quantization import Silicon, is_installed

logger = logging.getLogger(__name__)

FLASH = "flash_attention_2"
FLASH_DTYPES = ("bfloat16", "float16")
FLASH_CAPABILITY = (8, 0)


def find_flash_problem(silicon: Silicon, dtype: str, is_installed: Callable[[str], bool] = is_installed) -> str:
    """Return why flash attention cannot be used, an empty string when it can."""
    if silicon.kind == "cpu":
        return "it runs on accelerators only"
    if silicon.capability is not None and silicon.capability < FLASH_CAPABILITY:
        return f"it needs a GPU of compute capability {'.'.join(map(str, FLASH_CAPABILITY))}"
    if dtype not in FLASH_DTYPES:
        return f"it computes in {' or '.join(FLASH_DTYPES)}, not {dtype}"
    return "" if is_installed("flash_attn") else "the package flash-attn is not installed"


def settle_attention(model: Any, silicon: Silicon, dtype: str, *, padding_only: bool) -> str:
    """Give a model the best attention for its masks; log and return the choice."""
    problem = find_flash_problem(silicon, dtype) if padding_only else "its masks differ from row to row"
    if not problem:
        try:
            model.set_attn_implementation(FLASH)
        except (ValueError, ImportError, RuntimeError) as error:
            problem = f"{type(model).__name__} does not take it: {error}"
    chosen = str(model.config._attn_implementation)
    logger.info("attention chosen", extra={"attention": chosen, "no_flash_attention_because": problem})
    return chosen
