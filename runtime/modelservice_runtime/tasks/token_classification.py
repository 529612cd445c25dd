"""Token classification: named entities, parts of speech."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import AutoModelForTokenClassification

from modelservice_runtime.engine.piecewise_scheduler import Work
from modelservice_runtime.models.encoder import TextEncoder
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.encoding import (
    check_count,
    check_tokens,
    field_of,
    load_encoder,
    make_scheduler,
    warm_up,
)
from modelservice_runtime.tasks.entities import TaggedText, TokenSpan
from modelservice_runtime.tasks.explaining import ExplainOptions
from modelservice_runtime.tasks.inputs import InvalidInput, Item, Texts
from modelservice_runtime.tasks.text_explaining import TextExplainer


@dataclass(frozen=True, slots=True)
class TokenisedText:
    """A text, its tokens, and for those that are not special their place among all and in the text."""

    text: str
    ids: Sequence[int]
    kept: Sequence[int]
    spans: Sequence[TokenSpan]


class TokenClassificationTask:
    """Implements `LoadedTask` and `Explainable`; what it gives, `entities.find_entities` turns into entities."""

    def __init__(self, context: TaskContext, encoder: TextEncoder, facts: ModelFacts) -> None:
        self.facts = facts
        self.scheduler = make_scheduler(context, self.run)
        self._encoder = encoder
        self._most = context.settings.limits.max_inputs
        config = encoder.model.config
        self._labels = [str(config.id2label[index]) for index in range(config.num_labels)]
        self._explainer = TextExplainer(encoder, self._labels, by_token=True)
        tokenizer = encoder.tokenizer
        self._marks_subwords = bool(getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None))
        self._unknown = tokenizer.unk_token_id

    def warm_up(self) -> None:
        """Run a small batch."""
        warm_up(self._score, self._encoder)

    def prepare(self, request: Texts) -> Sequence[Item]:
        """Tokenise, keeping where each token lies in its text."""
        check_count(len(request.texts), self._most)
        items = []
        for index, text in enumerate(request.texts):
            field = field_of("input", index, len(request.texts))
            if not isinstance(text, str):
                raise InvalidInput(field, "entities are found in texts, not in token ids; send the text")
            tokens = self._tokenise(text)
            check_tokens(self._encoder, tokens.ids, field)
            items.append(Item(tokens, len(tokens.ids)))
        return items

    def _tokenise(self, text: str) -> TokenisedText:
        encoding = self._encoder.encode(text)
        ids, tokens, offsets = encoding.ids, encoding.tokens, encoding.offsets  # each access makes a new list
        kept = [index for index, special in enumerate(encoding.special_tokens_mask) if not special]
        spans = []
        for index in kept:
            start, end = offsets[index]
            spans.append(TokenSpan(start, end, self._is_subword(text, ids[index], tokens[index], start, end)))
        return TokenisedText(text, ids, kept, spans)

    def _is_subword(self, text: str, token_id: int, token: str, start: int, end: int) -> bool:
        """Tell whether a token goes on with a word: by its mark (`##ing`), else by the lack of a space before it."""
        if token_id == self._unknown:
            return False
        if self._marks_subwords:
            return len(token) != end - start
        return start > 0 and " " not in text[start - 1 : start + 1]

    def run(self, batch: Sequence[TokenisedText]) -> list[Any]:
        """Return the probabilities of each input as an array [tokens, labels]."""
        return self._score([text.ids for text in batch])

    def _score(self, batch: Sequence[Sequence[int]]) -> list[Any]:
        output, _ = self._encoder.forward(batch)
        probabilities = output.logits.float().softmax(dim=-1).cpu().numpy()
        return [scores[: len(row)] for row, scores in zip(batch, probabilities, strict=True)]

    def prepare_explanation(self, request: Texts, options: ExplainOptions) -> Sequence[Item]:
        """Tokenise."""
        return self._explainer.prepare(request, options)

    def explain(self, value: Any) -> Work:
        """Tell what each token added to the label of one."""
        return self._explainer.explain(value)

    def finish(self, request: Texts, items: Sequence[Item], results: Sequence[Any]) -> list[TaggedText]:
        """Return each text with the probabilities of its tokens."""
        return [
            TaggedText(item.value.text, self._labels, item.value.spans, scores[item.value.kept].tolist())
            for item, scores in zip(items, results, strict=True)
        ]


def load(context: TaskContext) -> TokenClassificationTask:
    """Load tokenizer and model. Raises RuntimeFault."""
    encoder, facts = load_encoder(context, AutoModelForTokenClassification)
    return TokenClassificationTask(context, encoder, facts)
