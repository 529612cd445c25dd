"""Explanations of encoders that label texts, whole or token by token: what each token added to a label.

The point of the attribution is the embeddings of the tokens. The baseline keeps the special tokens and has, for all
others, the embedding of the mask token (what the model was trained to read as "unknown"), of padding, or zeros.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from modelservice_runtime.engine.piecewise_scheduler import Work
from modelservice_runtime.models.attribution import (
    Attribution,
    attribute_gradient,
    attribute_integrated,
    attribute_occlusion,
    log_odds,
    roll_out,
    shows_attention,
    visible_attention,
)
from modelservice_runtime.models.encoder import TextEncoder
from modelservice_runtime.tasks.explaining import (
    ExplainOptions,
    Explanation,
    TokenShare,
    choose_baseline,
    choose_method,
    choose_target,
)
from modelservice_runtime.tasks.inputs import InvalidInput, Item, Texts

PIECE_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class TextQuestion:
    """A text with its tokens; `kept` are the places of those that are not special, `offsets` theirs in the text."""

    text: str
    ids: Sequence[int]
    kept: Sequence[int]
    offsets: Sequence[tuple[int, int]]
    target: int | None
    method: str
    baseline: str
    steps: int


class TextExplainer:
    """Explains the labels of an encoder.

    `labels` are the names of the classes in their order. `independent` tells that classes do not exclude one another;
    `by_token` that each token has a label of its own, of which the surest that is not `O` is explained.
    """

    def __init__(
        self, encoder: TextEncoder, labels: Sequence[str], *, independent: bool = False, by_token: bool = False
    ) -> None:
        self._encoder = encoder
        self._model = encoder.model
        self._names = labels
        self._labels: Mapping[str, int] = {label: index for index, label in enumerate(labels)}
        self._independent = independent or len(labels) == 1
        self._by_token = by_token
        self._fillers = _fillers(encoder.tokenizer)
        self._methods: tuple[str, ...] = ("integrated_gradients", "gradient", "occlusion")
        if shows_attention(self._model):
            self._methods += ("attention",)

    def prepare(self, request: Texts, options: ExplainOptions) -> list[Item]:
        """Tokenise. Raises InvalidInput."""
        method = choose_method(options, self._methods)
        baseline = choose_baseline(options, list(self._fillers))
        target = choose_target(options, self._labels)
        items = []
        for text in request.texts:
            if not isinstance(text, str):
                raise InvalidInput("input", "explanations are of single texts; send neither pairs nor token ids")
            encoding = self._encoder.encode(text)
            kept = [index for index, special in enumerate(encoding.special_tokens_mask) if not special]
            if not kept or len(encoding.ids) > self._encoder.longest:
                raise InvalidInput(
                    "input",
                    f"the input has {len(encoding.ids)} tokens, and this model reads {self._encoder.longest}",
                )
            offsets = [encoding.offsets[index] for index in kept]
            question = TextQuestion(text, encoding.ids, kept, offsets, target, method, baseline, options.steps)
            items.append(Item(question, len(encoding.ids)))
        return items

    def explain(self, question: TextQuestion) -> Work:
        """Compute the explanation of a text."""
        point, baseline = self._points(question)
        with torch.no_grad():
            logits = self._logits(point)
        place, index = self._choose_target(question, logits)
        score = partial(self._score, place=place, index=index)
        attribution = yield from self._attribute(question, point, baseline, score, place)
        values = attribution.values
        shares = (values.sum(dim=-1) if values.dim() > 1 else values)[list(question.kept)].tolist()
        with torch.no_grad():
            sure, unsure = score(point).sigmoid().item(), score(baseline).sigmoid().item()
        return Explanation(
            label=self._names[index],
            score=sure,
            method=question.method,
            baseline=question.baseline,
            baseline_score=unsure,
            delta=attribution.delta,
            place=None if place is None else question.offsets[question.kept.index(place)],
            text=[
                TokenShare(question.text[start:end], start, end, share)
                for (start, end), share in zip(question.offsets, shares, strict=True)
            ],
        )

    def _points(self, question: TextQuestion) -> tuple[Any, Any]:
        """Return the embeddings of the text and of its baseline, both [1, tokens, hidden]."""
        embed = self._model.get_input_embeddings()
        ids = torch.tensor([question.ids], device=self._model.device)
        filler = self._fillers[question.baseline]
        with torch.no_grad():
            point = embed(ids)
            told = torch.zeros_like(point) if filler is None else embed(torch.full_like(ids, filler))
        baseline = point.clone()
        baseline[:, question.kept] = told[:, question.kept]
        return point, baseline

    def _logits(self, points: Any) -> Any:
        """Return [rows, labels], or [rows, tokens, labels] where each token has its own."""
        mask = torch.ones(points.shape[:2], dtype=torch.long, device=points.device)
        return self._model(inputs_embeds=points, attention_mask=mask).logits.float()

    def _score(self, points: Any, *, place: int | None, index: int) -> Any:
        logits = self._logits(points)
        if place is not None:
            logits = logits[:, place]
        return logits[:, index] if self._independent else log_odds(logits, index)

    def _choose_target(self, question: TextQuestion, logits: Any) -> tuple[int | None, int]:
        """Return the place of the token (None: the whole text) and the index of the label to explain."""
        if not self._by_token:
            return None, int(logits[0].argmax()) if question.target is None else question.target
        chances = logits[0, list(question.kept)].softmax(dim=-1)
        if question.target is not None:
            return question.kept[int(chances[:, question.target].argmax())], question.target
        if "O" in self._labels and len(self._labels) > 1:
            chances[:, self._labels["O"]] = 0.0
        at, index = divmod(int(chances.argmax()), chances.shape[-1])
        return question.kept[at], index

    def _attribute(self, question: TextQuestion, point: Any, baseline: Any, score: Any, place: int | None) -> Any:
        match question.method:
            case "gradient":
                return (yield from attribute_gradient(score, point, baseline))
            case "occlusion":
                rows = max(1, PIECE_TOKENS // point.shape[1])
                return (yield from attribute_occlusion(score, point, baseline, _regions(point, question.kept), rows))
            case "attention":
                return self._roll_out(point, place)
            case _:
                return (yield from attribute_integrated(score, point, baseline, question.steps))

    def _roll_out(self, point: Any, place: int | None) -> Attribution:
        """Follow the attention to the position that is read out: the token's own, else the first."""
        mask = torch.ones(point.shape[:2], dtype=torch.long, device=point.device)
        with torch.no_grad(), visible_attention(self._model):
            output = self._model(inputs_embeds=point, attention_mask=mask, output_attentions=True)
        return Attribution(roll_out(output.attentions, place or 0))


def _regions(point: Any, kept: Sequence[int]) -> list[Any]:
    """Return one mask [1, tokens, 1] for each token that is not special."""
    regions = []
    for place in kept:
        region = torch.zeros((1, point.shape[1], 1), dtype=torch.bool, device=point.device)
        region[0, place] = True
        regions.append(region)
    return regions


def _fillers(tokenizer: Any) -> dict[str, int | None]:
    """Return the token that stands for nothing, by the name of the baseline; the usual one first."""
    named = {"mask": tokenizer.mask_token_id, "pad": tokenizer.pad_token_id}
    return {**{name: token for name, token in named.items() if token is not None}, "zero": None}
