"""The halves of a Whisper, and where in a recording its decoder looks.

A window is listened to again to find out when its words were said. So what the encoder made of it is kept with it.

Fast attention does not tell its weights. They are computed again from the queries and keys of the heads that follow
the sound, which hooks pick up during one pass over the whole text; so any kind of attention and of linear layer will
do.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modelservice_runtime.models.device import without_gradients
from modelservice_runtime.models.seq2seq import Seq2SeqParts, Step


@dataclass(slots=True, eq=False)
class Sound:
    """A window of a recording: its spectrogram [mels, frames], and what the encoder made of it, once it has."""

    features: Any
    states: Any = None


class WhisperParts(Seq2SeqParts):
    """`Parts` of a Whisper, for sources of the kind `Sound`."""

    def __init__(self, model: Any, inputs_of: Callable[[Any], dict[str, Any]]) -> None:
        super().__init__(model, inputs_of)
        self._heads = _alignment_heads(model)

    def encode(self, source: Sound) -> Any:
        """Run the encoder, unless it has run for this window."""
        if source.states is None:
            source.states = super().encode(source.features)
        return source.states

    @without_gradients
    def attend(self, source: Sound, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return how much each token looks at each place of the window, [heads, tokens, places]; rows sum to 1."""
        projections: dict[tuple[int, str], Any] = {}
        with ExitStack() as hooks:
            for layer in {layer for layer, _ in self._heads}:
                for name in ("q_proj", "k_proj"):
                    module = getattr(self.decoder.layers[layer].encoder_attn, name)
                    hook = module.register_forward_hook(partial(_keep, projections, (layer, name)))
                    hooks.callback(hook.remove)
            self.decode(Step(torch.tensor([list(tokens)], device=self.decoder.device), self.encode(source)))
        weights = [self._weights(layer, head, projections) for layer, head in self._heads]
        return np.asarray(torch.stack(weights).cpu().numpy(), np.float32)

    def _weights(self, layer: int, head: int, projections: dict[tuple[int, str], Any]) -> Any:
        attention = self.decoder.layers[layer].encoder_attn
        size = attention.head_dim
        queries, keys = (
            projections[layer, name][0, :, head * size : (head + 1) * size].float() for name in ("q_proj", "k_proj")
        )
        return torch.softmax(queries * attention.scaling @ keys.T, dim=-1)


def _keep(found: dict[tuple[int, str], Any], key: tuple[int, str], _module: Any, _inputs: Any, output: Any) -> None:
    found[key] = output


def _alignment_heads(model: Any) -> list[tuple[int, int]]:
    """Return the layers and heads that follow the sound; where the model does not name them, its upper half, all."""
    named = getattr(model.generation_config, "alignment_heads", None)
    if named:
        return [(int(layer), int(head)) for layer, head in named]
    layers, heads = model.config.decoder_layers, model.config.decoder_attention_heads
    return [(layer, head) for layer in range(layers // 2, layers) for head in range(heads)]
