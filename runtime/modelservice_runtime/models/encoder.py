"""Running an encoder over a padded batch of token lists.

Two texts that are read together are told apart by segments (`token_type_ids`): 0 for the first, 1 for the second. Only
some architectures have them; whether a model does is found once, and where it does not they are left out.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.accelerator import send
from modelservice_runtime.models.device import without_gradients


@dataclass(frozen=True, slots=True)
class PairTokens:
    """The tokens of two texts that are read together, and the segment of each token."""

    ids: Sequence[int]
    segments: Sequence[int]


Tokens = Sequence[int] | PairTokens


class TextEncoder:
    """A transformers encoder with its tokenizer's conventions; `longest` bounds the tokens of one input.

    `run` stands for the model in `forward`, such as its compiled form.
    """

    def __init__(self, model: Any, tokenizer: Any, longest: int, run: Any = None) -> None:
        self.model = model
        self._run = model if run is None else run
        self.longest = longest
        self.tokenizer = tokenizer
        self._tokenizer = tokenizer.backend_tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        self._has_segments = _has_segments(model, tokenizer)

    def tokenise(self, text: str) -> list[int]:
        """Return the ids of a text with the special tokens around it; any thread."""
        return list(self._tokenizer.encode(text).ids)

    def encode(self, text: str, pair: str | None = None) -> Any:
        """Return the tokenizer's `Encoding` of a text, or of two that are read together; any thread."""
        return self._tokenizer.encode(text, pair)

    def tokenise_pair(self, text: str, pair: str) -> PairTokens:
        """Return the tokens of two texts that are read together; any thread."""
        encoding = self.encode(text, pair)
        return PairTokens(encoding.ids, encoding.type_ids)

    @without_gradients
    def forward(self, batch: Sequence[Tokens]) -> tuple[Any, Any]:
        """Return the model's output and the attention mask [rows, longest row]; torch thread."""
        rows = [row.ids if isinstance(row, PairTokens) else row for row in batch]
        width = max(len(row) for row in rows)
        inputs = {
            "input_ids": _pad(rows, width, self._pad_id),
            "attention_mask": _pad([[1] * len(row) for row in rows], width, 0),
        }
        if self._has_segments and any(isinstance(row, PairTokens) for row in batch):
            segments = [row.segments if isinstance(row, PairTokens) else [0] * len(row) for row in batch]
            inputs["token_type_ids"] = _pad(segments, width, 0)
        inputs = {name: send(tensor, self.model.device) for name, tensor in inputs.items()}
        return self._run(**inputs), inputs["attention_mask"]


def _pad(rows: Sequence[Sequence[int]], width: int, filler: int) -> Any:
    padded = [[*row, *[filler] * (width - len(row))] for row in rows]
    return torch.tensor(padded, dtype=torch.long)


def _has_segments(model: Any, tokenizer: Any) -> bool:
    known = inspect.signature(model.forward).parameters
    return "token_type_ids" in tokenizer.model_input_names and "token_type_ids" in known


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
