"""demo-speech writes down digits in voices that it was not trained on, and its card states how well."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jiwer
import pytest

from tests.models import build_model
from tests.models.speech.recipe import CARD, RATE, WEIGHTS
from tests.models.speech.synthesis import HELD_OUT, TRAINED, Utterance, held_out, samples_of, speak, to_file
from tests.runtime.support.server import RunningServer, running

pytestmark = [pytest.mark.torch, pytest.mark.timeout(400)]
HIGHEST_ERROR_RATE = 0.10


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running(build_model("demo-speech"), name="demo-speech") as server:
        yield server


def hear(server: RunningServer, utterance: Utterance, **fields: str) -> dict[str, object]:
    answer = server.http.post(
        "/v1/audio/transcriptions",
        data={"model": "demo-speech", **fields},
        files={"file": ("digits.wav", to_file(samples_of(speak(utterance), RATE), RATE))},
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_error_rate_on_voices_that_were_never_heard_is_low_and_what_the_card_states(server) -> None:
    utterances = held_out()
    with ThreadPoolExecutor(4) as clients:
        heard = [str(answer["text"]) for answer in clients.map(lambda each: hear(server, each), utterances)]
    rate = float(jiwer.wer([each.text for each in utterances], heard))
    print(f"word error rate: {rate:.3f}")
    stated = re.search(r"([\d.]+) % word error rate", CARD.read_text(encoding="utf-8"))
    assert stated
    assert rate <= HIGHEST_ERROR_RATE
    assert rate == pytest.approx(float(stated[1]) / 100, abs=0.01)


def test_words_come_with_times_in_the_order_they_were_said(server) -> None:
    utterance = Utterance("one two three four five", "en-us", 140, 50)
    answer = hear(server, utterance, response_format="verbose_json", **{"timestamp_granularities[]": "word"})
    words = answer["words"]
    assert isinstance(words, list)
    assert " ".join(word["word"] for word in words) == answer["text"]
    starts = [word["start"] for word in words]
    assert starts == sorted(starts)
    assert 0 <= starts[0] <= words[-1]["end"] <= answer["duration"]


def test_held_out_voices_are_others_and_the_weights_are_small() -> None:
    assert not set(HELD_OUT) & set(TRAINED)
    assert WEIGHTS.stat().st_size <= 3_000_000
