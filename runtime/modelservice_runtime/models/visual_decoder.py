"""A vision language model over a slot KV cache: image features stand in the prompt where its placeholder tokens are.

The model's processor writes as many placeholders as an image gives features, so to the scheduler an image is a part of
the prompt like any other: it is prefilled in chunks, counted, and preempted. What differs is where the embeddings of
those tokens come from: `begin` runs the vision tower, and the prefill of the placeholders takes its features in order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.accelerator import send
from modelservice_runtime.models.decoder import CausalDecoder
from modelservice_runtime.models.device import without_gradients

TYPES = "mm_token_type_ids"


class VisualDecoder(CausalDecoder):
    """Implements `DecoderRunner` for LLaVA-like models.

    A source holds the arrays that the model's processor made of the images, and of the text those in `text_inputs`.
    """

    text_inputs: tuple[str, ...] = ()
    group_rows = 1

    def __init__(self, model: Any, max_length: int, max_rows: int, budget_bytes: int) -> None:
        image_token = getattr(model.config, "image_token_id", None)
        if image_token is None or not hasattr(model, "get_image_features"):
            raise UnusableModel(
                f"{type(model).__name__} does not put image features in the place of tokens; it is not supported",
                hint="use a model that works like LLaVA, Idefics3 or SmolVLM",
            )
        super().__init__(model, max_length, max_rows, budget_bytes)
        self._image_token = int(image_token)
        self._source: Any = None
        self._features: Any = None
        self._taken = 0

    def begin(self, row: int, source: Any) -> int:
        """Compute the features of the images whose placeholders the next prefills hold; 0, as those are counted."""
        if source is not self._source:
            self._features = self._encode(source)
            self._source = source
        self._taken = 0
        return 0

    def release(self) -> None:
        """Give the memory back."""
        self._source = self._features = None
        super().release()

    @without_gradients
    def _encode(self, source: Mapping[str, Any]) -> Any:
        """Return the features of all images, [placeholders, size]."""
        pictures = {name: array for name, array in source.items() if name not in self.text_inputs}
        output = self._model.get_image_features(**self._arguments(pictures), return_dict=True)
        features = output.pooler_output
        if isinstance(features, list | tuple):
            features = torch.cat([part.reshape(-1, part.shape[-1]) for part in features])
        return features.reshape(-1, features.shape[-1])

    def _embed(self, tokens: Sequence[int]) -> dict[str, Any]:
        """Return the embeddings of prompt tokens, the next image features in the place of the placeholders."""
        if self._features is None or self._image_token not in tokens:
            return super()._embed(tokens)
        ids = torch.tensor(tokens, device=self._device)
        embeddings = self._model.get_input_embeddings()(ids)
        places = (ids == self._image_token).nonzero()[:, 0][: len(self._features) - self._taken]
        chosen = self._features[self._taken : self._taken + len(places)]
        embeddings = embeddings.index_copy(0, places, chosen.to(embeddings.dtype))
        self._taken += len(places)
        return {"inputs_embeds": embeddings.unsqueeze(0)}

    def _plain(self, source: Mapping[str, Any], length: int) -> dict[str, Any]:
        cut = {name: array[:, :length] if name in self.text_inputs else array for name, array in source.items()}
        return self._arguments(cut)

    def _arguments(self, source: Mapping[str, Any]) -> dict[str, Any]:
        return to_device(source, self._device, self._model.dtype)


def to_device(source: Mapping[str, Any], device: Any, dtype: Any) -> dict[str, Any]:
    """Return a processor's numpy arrays as tensors, floating ones in the model's dtype."""
    tensors = {name: torch.from_numpy(array) for name, array in source.items()}
    return {
        name: send(tensor, device, dtype if tensor.is_floating_point() else None) for name, tensor in tensors.items()
    }
