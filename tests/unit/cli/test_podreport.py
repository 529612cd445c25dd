"""A pod as a person who looks for a cause wants to read it."""

import json

from modelservice_operator.api.reasons import Reason
from modelservice_operator.cli.podreport import failing_container, report_pod
from tests.support.builders import make_modelservice, make_pod

WORD = json.dumps({"reason": "CudaOutOfMemory", "message": "no room for 4 GiB", "hint": "lower maxContext"})


def test_last_end_is_told_when_a_container_crashed() -> None:
    report = report_pod(make_pod().scheduled().crashed("server", 1, WORD).build())
    server = next(each for each in report.containers if each.name == "server")
    assert (server.last_exit, server.restarts, server.last_message) == (1, 3, "no room for 4 GiB")
    assert server.state == "waiting (CrashLoopBackOff): back-off 10s restarting failed container"
    assert report.found is not None
    assert report.found.reason is Reason.CUDA_OUT_OF_MEMORY


def test_words_of_the_scheduler_are_told_when_no_node_fits() -> None:
    said = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    report = report_pod(make_pod(make_modelservice().with_gpu().build()).unschedulable(said).build())
    assert (report.scheduler, report.node, report.containers) == (said, "", ())


def test_ready_pod_has_nothing_wrong() -> None:
    report = report_pod(make_pod().ready().build())
    assert report.is_ready
    assert report.found is None
    assert {each.state for each in report.containers} == {"terminated (Completed)", "running, ready"}


def test_recovered_crash_is_told_as_past() -> None:
    pod = make_pod().scheduled().crashed("server", 1, WORD)
    report = report_pod(pod.retrying("server").ready().build())
    assert report.found is None
    assert report.past is not None
    assert report.past.message == "no room for 4 GiB"


def test_log_of_the_last_end_is_the_one_to_read_when_a_container_waits_for_its_next_try() -> None:
    assert failing_container(make_pod().scheduled().crashed("fetch", 66).build()) == ("fetch", True)


def test_log_of_the_running_container_is_the_one_to_read_when_a_pod_starts() -> None:
    assert failing_container(make_pod().scheduled().fetched().running().build()) == ("server", False)


def test_no_log_is_asked_for_when_no_container_ever_ran() -> None:
    assert failing_container(make_pod().scheduled().waiting("server", "ImagePullBackOff").build()) is None
    assert failing_container(make_pod().ready().build()) is None
