"""`engine.compile`: kernels that torch makes for this very model, for a slower start.

An encoder is compiled whole, for batches of any shape. Of a decoder only the feed-forward blocks are: what touches the
cache depends on a window that Python objects hold, and torch would compile it again for each new shape of the cache,
give up after eight and go on uncompiled, without a word.
"""

import logging
import os
import shutil
from collections.abc import Callable
from typing import Any

import torch

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.quantization import is_installed

logger = logging.getLogger(__name__)

BLOCKS = ("mlp", "feed_forward", "ffn")
COMPILERS = ("g++", "clang++", "c++")


def refuse_compiling(
    device: str, find: Callable[[str], str | None] = shutil.which, is_installed: Callable[[str], bool] = is_installed
) -> None:
    """Raise UnusableModel when nothing can be compiled here.

    Triton, which makes the kernels of a GPU, needs a compiler of the host as well: for what launches them.
    """
    needed = [] if any(find(name) for name in (os.environ.get("CXX", ""), *COMPILERS) if name) else ["a C++ compiler"]
    if device != "cpu" and not is_installed("triton"):
        needed.append("the package triton")
    if needed:
        raise UnusableModel(
            f"engine.compile needs {' and '.join(needed)}, and this image has none",
            hint="set engine.compile to false, or use an image that has a compiler (g++)",
        )


def compile_encoder(model: Any) -> Any:
    """Return the model's forward pass, compiled at its first call for batches of any shape."""
    return torch.compile(model, dynamic=True)


def compile_blocks(model: Any, device: str) -> None:
    """Let the feed-forward blocks of a decoder be compiled at their first call.

    Raises UnusableModel on a CPU, where that was measured to be no faster, and when there are no such blocks.
    """
    if device == "cpu":
        raise UnusableModel("engine.compile does not make decoders faster on a CPU", hint="set engine.compile to false")
    blocks = [module for name, module in model.named_modules() if name.rpartition(".")[2] in BLOCKS]
    if not blocks:
        raise UnusableModel(
            f"engine.compile: {type(model).__name__} has no feed-forward blocks by a known name ({', '.join(BLOCKS)})",
            hint="set engine.compile to false",
        )
    for block in blocks:
        block.compile(dynamic=True)
    logger.info("feed-forward blocks will be compiled", extra={"blocks": len(blocks)})
