"""Answers of the runtime as people read them, one way of telling for each kind of result."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from modelservice_operator.cli.asking import Given

_SHOWN: Final = 12


def tell(gives: str, prediction: Any, given: Given) -> list[str]:
    """The lines that tell a prediction; of a kind without a way of its own, its JSON."""
    way = _WAYS.get(gives)
    return way(prediction, given) if way else [json.dumps(prediction, ensure_ascii=False, indent=2)]


def picture_in(gives: str, prediction: Any) -> bytes | None:
    """The PNG file in a prediction that is a picture."""
    return base64.b64decode(prediction["image"]) if gives == "picture" else None


def _labels(prediction: Sequence[Mapping[str, Any]], given: Given) -> list[str]:
    return [f"{_percent(each)}  {each['label']}" for each in prediction[:_SHOWN]]


def _entities(prediction: Sequence[Mapping[str, Any]], given: Given) -> list[str]:
    found = [f"{_percent(each)}  {each['label']}: {given.text[each['start'] : each['end']]}" for each in prediction]
    return found or ["nothing was found in this text"]


def _fills(prediction: Sequence[Sequence[Mapping[str, Any]]], given: Given) -> list[str]:
    return [f"{_percent(each)}  {each['token']}: {each['sequence']}" for mask in prediction for each in mask]


def _answers(prediction: Sequence[Mapping[str, Any]], given: Given) -> list[str]:
    return [f"{_percent(each)}  {each['answer'] or '(the text does not hold an answer)'}" for each in prediction]


def _ranking(prediction: Sequence[Mapping[str, Any]], given: Given) -> list[str]:
    return [f"{each['relevance_score']:7.3f}  {given.documents[each['index']]}" for each in prediction]


def _vector(prediction: Sequence[float], given: Given) -> list[str]:
    start = ", ".join(f"{value:.4f}" for value in prediction[:8])
    return [f"{len(prediction)} numbers: {start}{', ...' if len(prediction) > 8 else ''}"]


def _picture(prediction: Mapping[str, Any], given: Given) -> list[str]:
    return [f"drawn from seed {prediction['seed']}"]


def _boxes(prediction: Sequence[Mapping[str, Any]], given: Given) -> list[str]:
    found = [
        f"{_percent(each)}  {each['label']} at {', '.join(f'{key} {value:.0f}' for key, value in each['box'].items())}"
        for each in prediction
    ]
    return found or ["nothing was found in this image"]


def _masks(prediction: Sequence[Mapping[str, Any]], given: Given) -> list[str]:
    return [f"{_percent(each)}  {each['label']}" for each in prediction] or ["nothing was found in this image"]


def _text(prediction: Mapping[str, Any], given: Given) -> list[str]:
    return [str(prediction["text"]).strip()]


def _percent(entry: Mapping[str, Any]) -> str:
    score = entry.get("score")
    return "      -" if score is None else f"{100 * score:5.1f} %"


_WAYS: Final[dict[str, Callable[[Any, Given], list[str]]]] = {
    "labels": _labels,
    "entities": _entities,
    "fills": _fills,
    "answers": _answers,
    "ranking": _ranking,
    "vector": _vector,
    "picture": _picture,
    "boxes": _boxes,
    "masks": _masks,
    "transcript": _text,
    "completion": _text,
}
