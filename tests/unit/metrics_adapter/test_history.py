"""From what pods say to the value of a metric."""

import pytest

from modelservice_operator.metrics_adapter.history import FORGET_SECONDS, WINDOW_SECONDS, History
from modelservice_operator.observability.exposition import read_snapshot, total_of
from tests.support.admin_ports import exposition

TOKENS = "inference_tokens_per_second"


def _history(*readings: tuple[float, str]) -> History:
    history = History()
    for time, text in readings:
        history.add("uid", time, read_snapshot(text))
    return history


def test_gauge_is_the_sum_of_its_samples() -> None:
    more = 'inference_requests_queued{model="chat",task="rerank"} 2\n'
    text = exposition(3).replace("# TYPE inference_requests_running", f"{more}# TYPE inference_requests_running")
    history = _history((0, text))
    assert history.value("uid", "inference_requests_queued", {}) == 5
    assert history.value("uid", "inference_requests_queued", {"task": "rerank"}) == 2


def test_rate_is_that_of_the_last_minute_and_of_the_labels_asked_for() -> None:
    history = _history((0, exposition(0, tokens=0)), (20, exposition(0, tokens=100)))
    assert history.value("uid", TOKENS, {"direction": "completion"}) == 5
    assert history.value("uid", TOKENS, {}) == 55
    history.add("uid", 20 + WINDOW_SECONDS, read_snapshot(exposition(0, tokens=100)))
    assert history.value("uid", TOKENS, {}) == 0


def test_rate_is_unknown_until_a_pod_was_read_twice_and_after_it_began_anew() -> None:
    history = _history((0, exposition(0, tokens=50)))
    assert history.value("uid", TOKENS, {}) is None
    history.add("uid", 10, read_snapshot(exposition(0, tokens=3)))
    assert history.value("uid", TOKENS, {}) is None


def test_nothing_is_known_of_metrics_and_pods_that_do_not_exist() -> None:
    history = _history((0, exposition(0)), (9, exposition(0)))
    assert history.value("uid", "inference_request_queued", {}) is None
    assert history.value("uid", "inference_token_per_second", {}) is None
    assert history.value("other", "inference_requests_queued", {}) is None


def test_counter_that_has_not_counted_yet_is_zero() -> None:
    silent = "# TYPE inference_tokens_total counter\n"
    history = _history((0, silent), (10, exposition(0, tokens=20)))
    assert history.value("uid", TOKENS, {"direction": "completion"}) == 2
    assert total_of(read_snapshot(silent), "inference_tokens_total", {}) == 0


def test_pods_that_nobody_asks_for_are_forgotten() -> None:
    history = _history((0, exposition(1)))
    history.add("newer", FORGET_SECONDS + 1, read_snapshot(exposition(1)))
    assert history.value("uid", "inference_requests_queued", {}) is None


def test_endless_numbers_and_histograms_are_left_out() -> None:
    text = '# TYPE a gauge\na NaN\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n'
    assert read_snapshot(text) == {"a": []}


def test_something_else_than_metrics_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid metric name"):
        read_snapshot("<html>no metrics here</html>")
