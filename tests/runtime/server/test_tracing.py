import subprocess
import sys
from pathlib import Path

import pytest

from modelservice_runtime.errors import BadSettings
from modelservice_runtime.observability.tracing import NoTracer, open_tracer, trace_address
from tests.runtime.support.collector import attributes_of, collecting
from tests.runtime.support.server import running

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.mark.torch
def test_spans_tell_the_stages_of_a_request_and_its_parent(decoder_folder: Path) -> None:
    with collecting() as collector:
        with running(decoder_folder, observability={"otlp_endpoint": collector.endpoint}) as server:
            body = {"model": "tiny", "prompt": "the quick", "max_tokens": 6, "n": 2, "temperature": 1.0, "seed": 1}
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            usage = server.http.post("/v1/completions", json=body, headers=headers).json()["usage"]
            server.http.post("/v1/completions", json={**body, "model": "other"})
        spans = collector.spans
    root = next(span for span in spans if span.parent_span_id.hex() == PARENT)
    assert (root.name, root.trace_id.hex()) == ("POST /v1/completions", TRACE)
    attributes = attributes_of(root)
    assert attributes["http.route"] == "/v1/completions"
    assert attributes["http.response.status_code"] == 200
    assert attributes["gen_ai.request.model"] == "tiny"
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.usage.input_tokens"] == usage["prompt_tokens"] * 2
    assert attributes["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    below = [span for span in spans if span.parent_span_id == root.span_id]
    assert sorted(span.name for span in below) == ["decode", "decode", "prefill", "prefill", "queue", "queue"]
    for span in below:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    failed = next(span for span in spans if attributes_of(span).get("http.response.status_code") == 404)
    assert attributes_of(failed)["gen_ai.request.model"] == "_other"


@pytest.mark.torch
def test_encoders_have_one_stage_of_work(classifier_folder: Path) -> None:
    with collecting() as collector:
        with running(classifier_folder, observability={"otlp_endpoint": collector.endpoint}) as server:
            server.post("/v1/classify", input=["the fox", "a bear"])
        names = sorted(span.name for span in collector.spans)
    assert names == ["POST /v1/classify", "forward", "forward", "queue", "queue"]


def test_packages_are_not_needed_when_tracing_is_off() -> None:
    missing = "sys.modules['opentelemetry.sdk'] = sys.modules['opentelemetry.exporter'] = None"
    program = f"import sys; {missing}; import modelservice_runtime.server.app"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert isinstance(open_tracer(""), NoTracer)


def test_setting_is_refused_when_the_packages_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(BadSettings, match="otlp_endpoint") as caught:
        open_tracer("http://collector:4318")
    assert "modelservice[tracing]" in caught.value.hint


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://collector/otlp/v1/traces", "https://collector/otlp/v1/traces"),
    ],
)
def test_address_is_completed_when_it_has_no_path(endpoint: str, address: str) -> None:
    assert trace_address(endpoint) == address
