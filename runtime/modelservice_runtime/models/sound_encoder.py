"""A transformers encoder that reads sound: wav2vec2, HuBERT and their kin, which read samples, and spectrogram readers.

Where the first layer normalises over time (`feat_extract_norm: group`) padding would change what is heard, so such a
model computes one recording at a time; all others take a padded batch with a mask.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.accelerator import send
from modelservice_runtime.models.device import without_gradients

SHORTEST_SECONDS = 0.1


class SoundEncoder:
    """A model with its feature extractor."""

    def __init__(self, model: Any, extractor: Any) -> None:
        if model.main_input_name != "input_values":
            raise UnusableModel(
                f"{type(model).__name__} reads {model.main_input_name}, not input_values; it is not supported"
            )
        self.model = model
        self.rate = int(extractor.sampling_rate)
        self._extractor = extractor
        self._padded = getattr(model.config, "feat_extract_norm", "layer") == "layer"

    def features(self, samples: Any) -> Any:
        """Return what the model reads of one recording; CPU pool."""
        padded = np.pad(samples, (0, max(0, int(SHORTEST_SECONDS * self.rate) - len(samples))))
        return np.asarray(self._extractor(padded, sampling_rate=self.rate).input_values[0], dtype=np.float32)

    @without_gradients
    def logits(self, batch: Sequence[Any]) -> list[Any]:
        """Return the logits of each recording, those of its own frames where there are frames; torch thread."""
        if batch[0].ndim > 1:
            return list(self._run(torch.from_numpy(np.stack(batch)), None))
        if not self._padded:
            return [self._run(torch.from_numpy(row[None]), None)[0] for row in batch]
        width = max(len(row) for row in batch)
        values = torch.zeros((len(batch), width))
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for index, row in enumerate(batch):
            values[index, : len(row)] = torch.from_numpy(row)
            mask[index, : len(row)] = 1
        logits = self._run(values, mask)
        if logits.dim() < 3:
            return list(logits)
        frames = self.model._get_feat_extract_output_lengths(mask.sum(dim=1)).tolist()
        return [row[:count] for row, count in zip(logits, frames, strict=True)]

    def _run(self, values: Any, mask: Any) -> Any:
        device = self.model.device
        named = {} if mask is None else {"attention_mask": send(mask, device)}
        return self.model(send(values, device, self.model.dtype), **named).logits.float()
