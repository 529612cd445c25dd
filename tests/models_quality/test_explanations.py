"""Explanations of the demo classifiers point at what decides, asked for and checked through HTTP."""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tests.models import build_model
from tests.models.digits.data import held_out_digits
from tests.models.sentiment.evaluate import held_out_written
from tests.models_quality.removal import by_chance, erased, pixel_scores, strongest, to_url, without
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

INPUTS = 16
DRAWS = 3
STEPS = 64


@pytest.fixture(scope="module")
def sentiment() -> Iterator[RunningServer]:
    with running(build_model("demo-sentiment")) as server:
        yield server


@pytest.fixture(scope="module")
def digits() -> Iterator[RunningServer]:
    with running(build_model("demo-digits")) as server:
        yield server


def explain(server: RunningServer, instance: dict[str, Any], method: str) -> dict[str, Any]:
    answer = server.post("/v1/explain", input=instance, method=method, steps=STEPS)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"][0]
    return found


def chances(server: RunningServer, instances: Sequence[dict[str, Any]], label: str) -> list[float]:
    answer = server.http.post("/v1/models/tiny:predict", json={"instances": instances})
    return [next(each["score"] for each in labels if each["label"] == label) for labels in answer.json()["predictions"]]


def odds(probability: float) -> float:
    bounded = min(max(probability, 1e-7), 1 - 1e-7)
    return math.log(bounded / (1 - bounded))


class Losses:
    """What the label lost without the strongest parts, and without as many random ones.

    `deltas` are the shares of the difference in log-odds that the attributions miss.
    """

    def __init__(self) -> None:
        self.strongest: list[float] = []
        self.random: list[float] = []
        self.deltas: list[float] = []

    def add(self, server: RunningServer, found: dict[str, Any], instances: Sequence[dict[str, Any]]) -> None:
        target = found["target"]
        first, *others = chances(server, instances, target["label"])
        self.strongest.append(target["score"] - first)
        self.random.append(target["score"] - statistics.fmean(others))
        difference = odds(target["score"]) - odds(found["baseline"]["score"])
        self.deltas.append(abs((found["convergence_delta"] or 0.0) / difference))

    def check(self, what: str) -> None:
        lost, by_luck = statistics.fmean(self.strongest), statistics.fmean(self.random)
        print(f"{what}: {lost:.3f} lost, {by_luck:.3f} by chance, {statistics.median(self.deltas):.4f} missing")
        assert lost > by_luck + 0.1
        assert statistics.median(self.deltas) < 0.05


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_removing_the_strongest_tokens_lowers_the_score_most(sentiment: RunningServer, method: str) -> None:
    losses = Losses()
    examples = held_out_written()
    for seed, example in enumerate(examples[:: len(examples) // INPUTS]):
        found = explain(sentiment, {"text": example.text}, method)
        tokens = found["tokens"]
        removals = [strongest([token["score"] for token in tokens]), *by_chance(len(tokens), DRAWS, seed)]
        losses.add(sentiment, found, [{"text": without(example.text, tokens, removal)} for removal in removals])
    losses.check(f"demo-sentiment, {method}")


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient", "occlusion"])
def test_erasing_the_strongest_pixels_lowers_the_score_most(digits: RunningServer, method: str) -> None:
    losses = Losses()
    images, _ = held_out_digits()
    for seed, image in enumerate(images[:: len(images) // INPUTS]):
        found = explain(digits, {"image": to_url(image)}, method)
        ink = np.flatnonzero(image)
        chosen = strongest(pixel_scores(found["image"]["heat_map"]))
        drawn = by_chance(image.size, DRAWS, seed)
        random_ink = [np.random.default_rng([seed, draw]).permutation(ink)[: len(chosen)] for draw in range(DRAWS)]
        removals = [chosen, *drawn, *random_ink]
        losses.add(digits, found, [{"image": to_url(erased(image, removal))} for removal in removals])
    losses.check(f"demo-digits, {method}")
