import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def server(decoder_folder: Path) -> Iterator[RunningServer]:
    sections = {"accelerator": {"count": 2, "simulated": True}, "engine": {"max_context": 128}}
    with running(decoder_folder, **sections) as server:
        yield server


def test_probes_succeed_when_ready(server: RunningServer) -> None:
    assert [server.admin.get(path).status_code for path in ("/livez", "/readyz", "/startupz")] == [200, 200, 200]


def test_status_tells_model_start_and_simulation(server: RunningServer) -> None:
    status = server.admin.get("/status").json()
    assert status["state"] == "ready"
    assert status["accelerator"]["simulated"] is True
    assert (status["accelerator"]["requested"], status["accelerator"]["device"]) == (2, "cpu")
    model = status["model"]
    assert (model["name"], model["task"], model["dtype"], model["context"]) == ("tiny", "chat", "float32", 128)
    assert model["parameters"] > 100_000
    assert model["format"] == "safetensors"
    assert status["startup"]["totalSeconds"] > 0
    assert status["requests"] == {"running": 0, "queued": 0}
    assert status["error"] is None


def test_context_is_bounded_when_the_settings_say_so(server: RunningServer) -> None:
    response = server.post("/v1/completions", prompt="a", max_tokens=200)
    assert "context of 128 tokens" in response.json()["error"]["message"]


def test_metrics_have_their_names_and_few_series_when_clients_misbehave(server: RunningServer) -> None:
    server.post("/v1/completions", prompt="the fox", max_tokens=5)
    for index in range(1000):
        server.http.post("/v1/completions", json={"model": f"made-up-{index}", "prompt": "a"})
        server.http.post(f"/v2/models/made-up-{index}/infer", json={})
        server.http.get(f"/nothing/{index}")
    families = {family.name: family for family in text_string_to_metric_families(server.admin.get("/metrics").text)}
    expected = {
        "inference_requests": "counter",
        "inference_request_duration_seconds": "histogram",
        "inference_queue_duration_seconds": "histogram",
        "inference_stage_duration_seconds": "histogram",
        "inference_requests_running": "gauge",
        "inference_requests_queued": "gauge",
        "inference_requests_rejected": "counter",
        "inference_requests_cancelled": "counter",
        "inference_time_to_first_token_seconds": "histogram",
        "inference_inter_token_latency_seconds": "histogram",
        "inference_tokens": "counter",
        "inference_batch_size": "histogram",
        "inference_batch_tokens": "histogram",
        "inference_batch_padding_ratio": "histogram",
        "inference_request_tokens": "histogram",
        "inference_cancel_latency_seconds": "histogram",
        "inference_images": "counter",
        "inference_audio_seconds": "counter",
        "inference_diffusion_steps": "counter",
        "inference_kv_cache_usage_ratio": "gauge",
        "inference_model_load_seconds": "gauge",
        "inference_model_ready": "gauge",
        "inference_draining": "gauge",
        "inference_worker_heartbeat_age_seconds": "gauge",
        "vllm:num_requests_running": "gauge",
        "vllm:num_requests_waiting": "gauge",
        "vllm:kv_cache_usage_perc": "gauge",
        "vllm:cache_config_info": "gauge",
    }
    assert {name: families[name].type for name in expected} == expected
    samples = [sample for family in families.values() for sample in family.samples]
    assert len(samples) < 1000
    assert {sample.labels["model"] for sample in samples if "model" in sample.labels} == {"tiny", "_other"}
    info = next(sample for sample in families["inference_model_info"].samples)
    stages = {sample.labels["stage"] for sample in samples if "stage" in sample.labels and "load" not in sample.name}
    assert stages == {"tokenize", "forward", "sample"}
    assert (info.labels["dtype"], info.labels["device"], info.labels["task"]) == ("float32", "cpu", "chat")


def test_counters_grow_when_tokens_are_made(server: RunningServer) -> None:
    def made() -> float:
        text = server.admin.get("/metrics").text
        found = re.search(r'inference_tokens_total\{direction="completion",model="tiny"\} (\S+)', text)
        return float(found.group(1)) if found else 0.0

    before = made()
    answer = server.post("/v1/completions", prompt="the fox", max_tokens=7).json()
    assert made() - before == answer["usage"]["completion_tokens"]


def test_unknown_path_and_method_are_refused(server: RunningServer) -> None:
    assert server.admin.get("/nothing").status_code == 404
    assert server.admin.post("/readyz").status_code == 405
    assert server.admin.head("/readyz").status_code == 200
