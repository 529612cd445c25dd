"""The task families with a tiny model for each, and the routes that its cases go to."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.runtime.support.tiny_models import make_classifier, make_decoder, make_encoder
from tests.runtime.support.tiny_visual import make_llava

FAMILIES: Mapping[str, Callable[[Path], Path]] = {
    "decoder": make_decoder,
    "classifier": make_classifier,
    "encoder": make_encoder,
    "visual-chat": make_llava,
}
