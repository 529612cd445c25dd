"""All ModelServices in few numbers."""

from datetime import UTC, datetime
from typing import Any

from modelservice_operator.cli.fleet import align, human_bytes, table, take_stock

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def _service(name: str, namespace: str = "team", generation: int = 1, **status: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": "Ready"}
    told = {"observedGeneration": 1, "conditions": [ready], "readyReplicas": 1, "replicasSummary": "1/2"}
    metadata = {"name": name, "namespace": namespace, "generation": generation}
    return {"metadata": metadata, "spec": {"model": {"uri": f"hf://org/{name}"}}, "status": {**told, **status}}


def _pod(owner: str, namespace: str = "team", phase: str = "Running", gpus: str = "0", memory: str = "2Gi") -> Any:
    labels = {"modelservice.dev/name": owner}
    limits = {"nvidia.com/gpu": gpus} if gpus != "0" else {}
    server = {"resources": {"requests": {"memory": memory}, "limits": limits}}
    fetch = {"resources": {"limits": {"memory": "4Gi"}}}
    spec = {"containers": [server], "initContainers": [fetch]}
    return {"metadata": {"namespace": namespace, "labels": labels}, "spec": spec, "status": {"phase": phase}}


def test_pods_are_added_up_by_service() -> None:
    pods = [_pod("chat", gpus="2", memory="16Gi"), _pod("chat", gpus="2"), _pod("chat", "other"), _pod("embed")]
    chat, embed = take_stock([_service("embed"), _service("chat")], pods, gpu_price=2.5, now=NOW)
    assert (chat.name, chat.gpus, chat.memory_bytes, chat.hourly_cost) == ("chat", 4, 20 << 30, 10.0)
    assert (embed.gpus, embed.memory_bytes, embed.hourly_cost) == (0, 4 << 30, 0.0)


def test_pod_that_has_ended_holds_nothing() -> None:
    (chat,) = take_stock([_service("chat")], [_pod("chat", phase="Failed", gpus="1")], None, NOW)
    assert (chat.gpus, chat.memory_bytes, chat.hourly_cost) == (0, 0, None)


def test_service_is_not_ready_when_its_status_is_of_an_earlier_generation() -> None:
    (chat,) = take_stock([_service("chat", generation=2)], [], None, NOW)
    assert chat.is_ready is False


def test_service_without_a_status_is_told_as_unseen() -> None:
    (chat,) = take_stock([{"metadata": {"name": "chat", "namespace": "team"}, "spec": {}}], [], None, NOW)
    assert (chat.phase, chat.reason, chat.wanted_replicas) == ("Unseen", "Unseen", "?")


def test_table_ends_with_the_sum() -> None:
    pods = [_pod("chat", gpus="2"), _pod("embed", gpus="1")]
    rows = table(take_stock([_service("chat"), _service("embed")], pods, 1.5, NOW))
    assert rows[0][-1] == "COST/H"
    assert rows[-1] == ["", "(all)", "2/2", "", "2", "3", "0.0", "8.0 GiB", "", "", "", "4.50"]


def test_hours_count_from_the_place_on_a_node_when_a_pod_has_one() -> None:
    waiting, placed = _pod("chat", gpus="2"), _pod("chat", gpus="2")
    since = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-31T10:30:00Z"}
    placed["spec"]["nodeName"] = "n1"
    placed["status"]["conditions"] = [since]
    (chat,) = take_stock([_service("chat", startup={"totalSeconds": 61.4})], [waiting, placed], None, NOW)
    assert (chat.gpus, chat.gpu_hours, chat.start_seconds) == (4, 3.0, 61.4)
    row = dict(zip(*table([chat]), strict=True))
    assert (row["GPU-H"], row["START"]) == ("3.0", "61 s")


def test_columns_stand_below_one_another() -> None:
    assert align([["A", "LONG"], ["value", "x"]]) == ["A      LONG", "value  x"]


def test_bytes_are_told_in_their_unit() -> None:
    told = [human_bytes(count) for count in (0, 1023, 1024, 20 << 20, 3 << 30, 5 << 50)]
    assert told == ["0 B", "1023 B", "1.0 KiB", "20 MiB", "3.0 GiB", "5120 TiB"]
