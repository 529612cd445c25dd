"""Masked language modelling: which tokens may stand in the place of a mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import AutoModelForMaskedLM

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.encoder import TextEncoder
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import (
    check_count,
    check_tokens,
    field_of,
    load_encoder,
    make_scheduler,
)
from modelservice_runtime.tasks.inputs import Fill, InvalidInput, Item, MaskedTexts

SPELLINGS = ("[MASK]", "<mask>")
MOST_LOGITS = 1 << 26  # every token of a batch gets a score for the whole vocabulary; this many are 256 MiB
MOST_FILLS = 2048  # each is decoded on the event loop


@dataclass(frozen=True, slots=True)
class MaskedTokens:
    """Tokens with the places of the masks among them, and how many fills are wanted for each."""

    ids: Sequence[int]
    masks: Sequence[int]
    top_k: int


class FillMaskTask:
    """Implements `LoadedTask`."""

    def __init__(self, context: TaskContext, encoder: TextEncoder, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run, most_tokens=max(1, MOST_LOGITS // encoder.vocabulary))
        self._encoder = encoder
        self._most = context.settings.limits.max_inputs
        self._mask_id = encoder.tokenizer.mask_token_id
        self._mask = str(encoder.tokenizer.mask_token)

    def warm_up(self) -> None:
        """Run a small batch."""
        items = self.prepare(MaskedTexts([f"a {self._mask}", f"a few {self._mask}"], 1))
        self.run([item.value for item in items])

    def prepare(self, request: MaskedTexts) -> Sequence[Item]:
        """Tokenise and find the masks."""
        check_count(len(request.texts), self._most)
        items, fills = [], 0
        for index, text in enumerate(request.texts):
            field = field_of("input", index, len(request.texts))
            tokens = self._tokenise(text, request.top_k)
            check_tokens(self._encoder, tokens.ids, field)
            if not tokens.masks:
                raise InvalidInput(field, f"the text has no mask; write {self._mask} where a word is wanted")
            fills += len(tokens.masks) * request.top_k
            items.append(Item(tokens, len(tokens.ids)))
        if fills > MOST_FILLS:
            raise InvalidInput(
                "top_k", f"{fills} fills are asked for, at most {MOST_FILLS} are made in one request; ask for fewer"
            )
        return items

    def _tokenise(self, text: str, top_k: int) -> MaskedTokens:
        for spelling in SPELLINGS:
            text = text.replace(spelling, self._mask)
        ids = self._encoder.tokenise(text)
        masks = [place for place, token in enumerate(ids) if token == self._mask_id]
        return MaskedTokens(ids, masks, min(top_k, self._encoder.vocabulary))

    def run(self, batch: Sequence[MaskedTokens]) -> list[list[list[tuple[int, float]]]]:
        """Return token ids with probabilities for each mask of each input, the most likely first."""
        output, _ = self._encoder.forward([row.ids for row in batch])
        return [_most_likely(logits[row.masks], row.top_k) for row, logits in zip(batch, output.logits, strict=True)]

    def finish(self, request: MaskedTexts, items: Sequence[Item], results: Sequence[Any]) -> list[list[list[Fill]]]:
        """Return the fills of each mask of each text."""
        return [self._spell(item.value, masks) for item, masks in zip(items, results, strict=True)]

    def _spell(self, row: MaskedTokens, masks: Sequence[Sequence[tuple[int, float]]]) -> list[list[Fill]]:
        """Decode the text with each fill in place; while other masks stay open, special tokens stay visible too."""
        decode = self._encoder.tokenizer.decode
        fills = []
        for place, proposals in zip(row.masks, masks, strict=True):
            before, after = list(row.ids[:place]), list(row.ids[place + 1 :])
            fills.append(
                [
                    Fill(
                        decode([token]),
                        token,
                        score,
                        decode([*before, token, *after], skip_special_tokens=len(masks) == 1),
                    )
                    for token, score in proposals
                ]
            )
        return fills


def _most_likely(logits: Any, count: int) -> list[list[tuple[int, float]]]:
    scores, tokens = logits.float().softmax(dim=-1).topk(count)
    return [list(zip(*row, strict=True)) for row in zip(tokens.tolist(), scores.tolist(), strict=True)]


def load(context: TaskContext) -> FillMaskTask:
    """Load tokenizer and model. Raises RuntimeFault."""
    encoder, facts = load_encoder(context, AutoModelForMaskedLM)
    if encoder.tokenizer.mask_token_id is None:
        raise UnusableModel(
            f"the tokenizer of {context.folder.path} has no mask token, so there is nothing to fill",
            hint="use a masked language model with its own tokenizer, or another model.task",
        )
    return FillMaskTask(context, encoder, facts)
