"""The adapter over real TLS: who is answered, and with what."""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from modelservice_operator.api.names import METRICS, child_labels
from modelservice_operator.metrics_adapter.claim import find_other_provider
from modelservice_operator.metrics_adapter.server import make_app
from modelservice_operator.metrics_adapter.source import PodMetrics
from modelservice_operator.metrics_adapter.trust import FrontProxy, NoFrontProxy, read_front_proxy, server_context
from tests.cluster.pki import Authority, pem
from tests.support.admin_ports import AdminPort, exposition
from tests.support.fake_kube import FakeKube
from tests.support.ports import free_port

ROOT = "/apis/custom.metrics.k8s.io/v1beta2"
QUEUE = f"{ROOT}/namespaces/team/pods/*/inference_requests_queued"
USER = {"X-Remote-User": "system:serviceaccount:kube-system:horizontal-pod-autoscaler"}


@dataclass
class Adapter:
    """The server under test, its pods, and clients of it."""

    folder: Path
    front: Authority
    kube: FakeKube = field(default_factory=lambda: FakeKube(served={"Pod", "APIService", "ConfigMap"}))
    refusal: str = ""
    url: str = ""

    def client(self, common_name: str = "front-proxy-client", authority: Authority | None = None) -> ssl.SSLContext:
        certificate, key = (authority or self.front).issue(common_name)
        file = self.folder / f"{common_name}.pem"
        file.write_bytes(certificate + key)
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        context.load_cert_chain(file)
        return context

    async def get(self, path: str, context: ssl.SSLContext, headers: dict[str, str] = USER) -> tuple[int, Any]:
        connector = aiohttp.TCPConnector(ssl=context)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(self.url + path, headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    def add_pod(self, name: str, address: str, *, ready: bool = True, ours: bool = True, page: str = "") -> None:
        labels = child_labels("chat") if ours else {"modelservice.dev/name": "chat"}
        self.kube.objects["Pod", "team", name] = {
            "metadata": {
                "name": name,
                "namespace": "team",
                "uid": name,
                "labels": labels,
                "annotations": {METRICS: page},
            },
            "status": {"podIP": address, "conditions": [{"type": "Ready", "status": str(ready)}]},
        }


@pytest.fixture
def pods() -> Iterator[Callable[[str], AdminPort]]:
    """Starts admin ports, all on one port as in a cluster."""
    started: list[AdminPort] = []

    def start(text: str) -> AdminPort:
        port = started[0].port if started else 0
        started.append(AdminPort(f"127.0.0.{len(started) + 1}", text, port))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
async def adapter(tmp_path: Path, pods: Callable[[str], AdminPort]) -> AsyncIterator[Adapter]:
    """An adapter that reads one first pod, which has a queue of 7."""
    own, front = Authority.create("adapter"), Authority.create("front proxy")
    certificate, key = own.issue("server", names=["127.0.0.1"])
    for name, data in (("ca.crt", pem(own.certificate)), ("tls.crt", certificate), ("tls.key", key)):
        (tmp_path / name).write_bytes(data)
    found = Adapter(tmp_path, front)
    first = pods(exposition(7))
    found.add_pod("chat-1", first.address)
    proxy = FrontProxy(pem(front.certificate).decode(), ("front-proxy-client",), ("X-Remote-User",))
    source = PodMetrics(found.kube, first.port)
    runner = web.AppRunner(make_app(source, proxy, lambda: found.refusal))
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=server_context(proxy, tmp_path)).start()
    found.url = f"https://127.0.0.1:{port}"
    yield found
    await runner.cleanup()
    await source.close()


async def test_values_come_from_ready_pods_of_ours_alone(adapter: Adapter, pods: Callable[[str], AdminPort]) -> None:
    loading, foreign, broken = pods(exposition(9)), pods(exposition(9)), pods("")
    adapter.add_pod("chat-2", loading.address, ready=False)
    adapter.add_pod("chat-3", foreign.address, ours=False)
    adapter.add_pod("chat-4", broken.address)
    status, said = await adapter.get(f"{QUEUE}?labelSelector=modelservice.dev/name%3Dchat", adapter.client())
    assert status == 200
    assert [(item["describedObject"]["name"], item["value"]) for item in said["items"]] == [("chat-1", "7")]
    assert (loading.asked, foreign.asked, broken.asked) == (0, 0, 1)


async def test_server_of_another_make_is_read_where_its_pod_says(adapter: Adapter) -> None:
    other = AdminPort("127.0.0.1", "# TYPE llm:waiting gauge\nllm:waiting 3\n", 0)
    adapter.add_pod("other-1", other.address, page=f"{other.port}/engine/metrics")
    for number, page in enumerate(("80/metrics", "99999/metrics", "8000/metrics bad", "@example.com/")):
        adapter.add_pod(f"astray-{number}", other.address, page=page)
    status, said = await adapter.get(QUEUE.replace("inference_requests_queued", "llm:waiting"), adapter.client())
    other.close()
    assert [(item["describedObject"]["name"], item["value"]) for item in said["items"]] == [("other-1", "3")]
    assert (status, other.path, other.asked) == (200, "/engine/metrics", 1)


async def test_selector_that_matches_no_pod_gives_no_value(adapter: Adapter) -> None:
    status, said = await adapter.get(f"{QUEUE}?labelSelector=modelservice.dev/name%3Dother", adapter.client())
    assert (status, said["items"]) == (200, [])


async def test_one_pod_can_be_asked_for_by_name(adapter: Adapter) -> None:
    path = f"{ROOT}/namespaces/team/pods/chat-1/inference_requests_running"
    status, said = await adapter.get(path, adapter.client())
    assert (status, said["items"][0]["value"]) == (200, "0")
    status, said = await adapter.get(path.replace("chat-1", "chat-9"), adapter.client())
    assert (status, said["reason"]) == (404, "NotFound")


async def test_discovery_answers_for_both_versions(adapter: Adapter) -> None:
    for version in ("v1beta1", "v1beta2"):
        status, said = await adapter.get(f"/apis/custom.metrics.k8s.io/{version}", adapter.client())
        assert (status, said["kind"]) == (200, "APIResourceList")
    assert (await adapter.get(f"{QUEUE}?metricLabelSelector=a+in+(b)", adapter.client()))[0] == 400


async def test_handshake_fails_without_a_certificate_or_with_one_of_another_authority(adapter: Adapter) -> None:
    nobody = ssl.create_default_context(cafile=str(adapter.folder / "ca.crt"))
    stranger = adapter.client(authority=Authority.create("somebody"))
    for context in (nobody, stranger):
        with pytest.raises(aiohttp.ClientError):
            await adapter.get(ROOT, context)


async def test_request_is_refused_when_the_name_or_the_user_is_missing(adapter: Adapter) -> None:
    other = adapter.client("some-other-client")
    assert (await adapter.get(QUEUE, other))[0] == 401
    assert (await adapter.get(QUEUE, adapter.client(), {}))[0] == 401


async def test_nothing_is_served_while_another_provider_is_registered(adapter: Adapter) -> None:
    adapter.refusal = "another provider"
    status, said = await adapter.get(QUEUE, adapter.client())
    assert (status, said["message"]) == (503, "another provider")


@pytest.mark.parametrize(
    ("version", "service", "words"),
    [
        ("v1beta1", {"namespace": "monitoring", "name": "prometheus-adapter"}, "monitoring/prometheus-adapter"),
        ("v1beta2", {"namespace": "other", "name": "metrics-adapter"}, "other/metrics-adapter"),
        ("v1beta2", {"namespace": "own", "name": "metrics-adapter"}, ""),
        ("v1", {"namespace": "monitoring", "name": "future"}, ""),
    ],
)
async def test_other_provider_is_found(version: str, service: dict[str, str], words: str) -> None:
    kube = FakeKube(served={"APIService"})
    name = f"{version}.custom.metrics.k8s.io"
    kube.objects["APIService", "", name] = {"metadata": {"name": name}, "spec": {"service": service}}
    said = await find_other_provider(kube, "own", "metrics-adapter")
    assert words in said
    assert bool(words) == bool(said)


async def test_trust_is_what_the_api_server_publishes() -> None:
    kube = FakeKube(served={"ConfigMap"})
    place = "ConfigMap", "kube-system", "extension-apiserver-authentication"
    data = {
        "requestheader-client-ca-file": "PEM",
        "requestheader-allowed-names": json.dumps(["front-proxy-client"]),
        "requestheader-username-headers": json.dumps(["X-Remote-User", "X-User"]),
    }
    kube.objects[place] = {"metadata": {"name": place[2], "namespace": place[1]}, "data": data}
    assert await read_front_proxy(kube) == FrontProxy("PEM", ("front-proxy-client",), ("X-Remote-User", "X-User"))
    kube.objects[place]["data"] = {"client-ca-file": "PEM"}
    with pytest.raises(NoFrontProxy, match="requestheader-client-ca-file"):
        await read_front_proxy(kube)


def test_any_certificate_of_the_authority_will_do_when_no_names_are_published() -> None:
    proxy = FrontProxy("PEM", (), ("X-Remote-User",))
    certificate = {"subject": ((("commonName", "whoever"),),)}
    assert proxy.user_of(certificate, {"X-Remote-User": "hpa"}) == "hpa"
