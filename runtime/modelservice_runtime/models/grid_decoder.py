"""A vision language model whose image tokens have places on a grid: Qwen2-VL and its kin.

Their rotary positions have three parts, time, row and column, and an image of many tokens moves the text after it on by
few positions. So the positions of a prompt come from the model (`get_rope_index`), and each row of a decode batch
carries the distance between its place in the cache and its position.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from modelservice_runtime.models.device import without_gradients
from modelservice_runtime.models.visual_decoder import TYPES, VisualDecoder


class GridDecoder(VisualDecoder):
    """Implements `DecoderRunner` for models with three-part rotary positions."""

    text_inputs = (TYPES,)

    def __init__(self, model: Any, max_length: int, max_rows: int, budget_bytes: int) -> None:
        self._shifts: dict[int, int] = {}
        self._begun = False
        self._grid: Any = None
        super().__init__(model, max_length, max_rows, budget_bytes)

    @without_gradients
    def begin(self, row: int, source: Mapping[str, Any]) -> int:
        """Compute the features of the images, and the positions of the whole prompt."""
        types = torch.from_numpy(source[TYPES]).to(self._device)
        grids = torch.from_numpy(source["image_grid_thw"]).to(self._device)
        positions, shift = self._model.model.get_rope_index(types, mm_token_type_ids=types, image_grid_thw=grids)
        self._grid, self._shifts[row], self._begun = positions, int(shift), True
        return super().begin(row, source)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row over another."""
        super().move(source, target, length)
        self._shifts[target] = self._shifts.get(source, 0)

    def prefill(self, row: int, start: int, tokens: Sequence[int]) -> Any:
        """Compute prompt tokens at `start` of a row; return the logits of the last one, [1, vocabulary]."""
        if start == 0 and not self._begun:
            self._grid, self._shifts[row] = None, 0
        self._begun = False
        return super().prefill(row, start, tokens)

    def _forward(self, inputs: dict[str, Any], positions: Any, masks: Any) -> Any:
        return super()._forward(inputs, self._place(positions), masks)

    def _place(self, places: Any) -> Any:
        """Return the three-part positions [3, rows, n] of places in the cache [rows, n]."""
        row = self._slots.window.row
        rows = [row] if row >= 0 else range(places.shape[0])
        shifts = torch.tensor([[self._shifts.get(each, 0)] for each in rows], device=self._device)
        shifted = (places + shifts).expand(3, -1, -1)
        if row < 0 or self._grid is None:
            return shifted
        known = places[0] < self._grid.shape[-1]
        on_grid = self._grid[:, :, places[0].clamp(max=self._grid.shape[-1] - 1)]
        return torch.where(known, on_grid, shifted)
