"""Packages that transformers imports because they are installed, although the served task has no use for them.

For a text model torchvision alone takes seconds and a hundred megabytes, as it imports torch's compiler and triton;
torchao does the same. A process serves one model, so what that model cannot need is hidden before transformers
looks around. Python's own way of hiding a package is an entry None in `sys.modules`.
"""

import logging
import sys

from modelservice_runtime.config import Settings
from modelservice_runtime.models.folder import ModelFolder
from modelservice_runtime.tasks.base import TaskInfo

logger = logging.getLogger(__name__)

FOR_IMAGES = ("torchvision", "timm")
FOR_QUANTIZED = ("torchao", "bitsandbytes")
FOR_ACCELERATORS = ("triton",)
FOR_TRAINING = ("scipy", "sklearn", "pandas")
"""transformers computes losses and drafts tokens with them; where they are installed, others wanted them."""


def hide_unneeded(info: TaskInfo, folder: ModelFolder, settings: Settings) -> None:
    """Hide what the model cannot need. Does nothing when transformers is there already, or when a model brings code."""
    if "transformers" in sys.modules or settings.model.trust_remote_code:
        return
    hidden = [name for name in find_unneeded(info, folder, settings) if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # documented: importing it raises ModuleNotFoundError
    logger.info("packages hidden that the task does not need", extra={"packages": hidden})


def find_unneeded(info: TaskInfo, folder: ModelFolder, settings: Settings) -> tuple[str, ...]:
    """Return the packages that a model of this task can do without, here and with these settings."""
    if info.gives == "picture":  # diffusers looks around by itself
        return ()
    engine, accelerator = settings.engine, settings.accelerator
    found: tuple[str, ...] = FOR_TRAINING
    if info.reads == "audio" or not info.media:
        found += FOR_IMAGES
    if engine.quantization == "none" and not folder.quantization:
        found += FOR_QUANTIZED
        if accelerator.simulated or accelerator.count == 0:
            found += FOR_ACCELERATORS
    return found
