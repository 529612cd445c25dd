"""Running an encoder over a padded batch of token lists."""

from collections.abc import Sequence
from typing import Any

import torch

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.device import without_gradients


class TextEncoder:
    """A transformers encoder with its tokenizer's conventions; `longest` bounds the tokens of one input."""

    def __init__(self, model: Any, tokenizer: Any, longest: int) -> None:
        self.model = model
        self.longest = longest
        self._tokenizer = tokenizer.backend_tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        self.vocabulary = int(model.config.get_text_config().vocab_size)

    def tokenise(self, text: str) -> list[int]:
        """Return the ids of a text with the special tokens around it; any thread."""
        return list(self._tokenizer.encode(text).ids)

    @without_gradients
    def forward(self, batch: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Return the model's output and the attention mask [rows, longest row]; torch thread."""
        width = max(len(row) for row in batch)
        ids = torch.full((len(batch), width), self._pad_id)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for index, row in enumerate(batch):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        ids, mask = ids.to(self.model.device), mask.to(self.model.device)
        return self.model(input_ids=ids, attention_mask=mask), mask


def longest_input(model: Any, tokenizer: Any, wanted: int) -> int:
    """Return how many tokens one input may have: the model's positions, the tokenizer's limit, or the lower wish.

    RoBERTa-like models count positions from the padding id on, so they have that many fewer. Raises UnusableModel when
    the settings ask for more than the model was made for.
    """
    config = model.config.get_text_config()
    own = int(getattr(config, "max_position_embeddings", 0) or 512)
    embeddings = getattr(getattr(model, model.base_model_prefix, model), "embeddings", None)
    if getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None) is not None:
        own -= int(config.pad_token_id) + 1
    own = min(own, int(min(tokenizer.model_max_length, 1 << 30)))
    if wanted > own:
        raise UnusableModel(
            f"engine.max_context is {wanted}, the model was made for {own} tokens",
            hint=f"set engine.maxContext to {own} or less; 0 takes the model's own limit",
        )
    return wanted or own
