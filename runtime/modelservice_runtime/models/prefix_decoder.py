"""GIT over a slot KV cache: the image is a prefix of the text, whose tokens see one another and have no positions.

The prefix has the same length for every image, so it shifts each row by a constant: the scheduler counts text only, and
this runner adds the prefix where the cache is meant. `begin` computes the prefix in one pass.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.decoder import CausalDecoder
from modelservice_runtime.models.device import without_gradients
from modelservice_runtime.models.visual_decoder import to_device


class PrefixDecoder(CausalDecoder):
    """Implements `DecoderRunner` for GIT; a source holds `pixel_values`, `sample` is one."""

    group_rows = 1

    def __init__(
        self, model: Any, sample: Mapping[str, Any], max_length: int, max_rows: int, budget_bytes: int
    ) -> None:
        self._model, self._device = model, model.device
        self.prefix = int(self._encode(sample).shape[1])
        super().__init__(model, max_length + self.prefix, max_rows, budget_bytes)
        self.max_length -= self.prefix
        if self.max_length < 2:
            raise UnusableModel(
                f"the memory for the KV cache holds {self.max_length + self.prefix} tokens, and an image alone takes "
                f"{self.prefix}",
                hint="give the container more memory",
            )

    def fits(self, rows: int, length: int) -> bool:
        """Tell whether the budget holds `rows` sequences of up to `length` positions of text."""
        return super().fits(rows, length + self.prefix)

    def reserve(self, rows: int, length: int, used_rows: int, used_length: int) -> None:
        """Make room for them, keeping the used corner."""
        super().reserve(rows, length + self.prefix, used_rows, used_length + self.prefix)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row over another."""
        super().move(source, target, length + self.prefix)

    @without_gradients
    def begin(self, row: int, source: Mapping[str, Any]) -> int:
        """Compute the keys and values of an image; return how many positions it takes."""
        window = self._slots.window
        window.row, window.start, window.span = row, 0, self.prefix
        self._model.git.encoder(self._encode(source), attention_mask=None, past_key_values=self._slots.cache)
        return self.prefix

    def prefill(self, row: int, start: int, tokens: Sequence[int]) -> Any:
        """Compute prompt tokens at `start` of a row's text; return the logits of the last one, [1, vocabulary]."""
        return super().prefill(row, start + self.prefix, tokens)

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Any:
        """Compute one token at `positions[i]` of the text of each row i; return logits [rows, vocabulary]."""
        return super().decode(tokens, [position + self.prefix for position in positions])

    def _forward(self, inputs: dict[str, Any], positions: Any, masks: Any) -> Any:
        return super()._forward(inputs, positions - self.prefix, masks)

    @without_gradients
    def _encode(self, source: Mapping[str, Any]) -> Any:
        pixels = self._arguments(source)["pixel_values"]
        return self._model.git.visual_projection(self._model.git.image_encoder(pixels).last_hidden_state)

    def _plain(self, source: Mapping[str, Any], length: int) -> dict[str, Any]:
        return self._arguments(source)

    def _arguments(self, source: Mapping[str, Any]) -> dict[str, Any]:
        return to_device(source, self._model.device, self._model.dtype)
