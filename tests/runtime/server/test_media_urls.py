"""A URL in a request, on its way through the server."""

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image

from modelservice_runtime.media import fetch
from tests.matrix.support.vision import make_vit
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch


def png() -> bytes:
    data = io.BytesIO()
    Image.linear_gradient("L").resize((16, 16)).save(data, "PNG")
    return data.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Serves one picture and keeps the paths that were asked for."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(png())

    def log_message(self, *arguments: Any) -> None:
        return


@pytest.fixture(scope="module")
def web() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Seen", (Handler,), {"seen": []}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(web: ThreadingHTTPServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    allowed = f"localhost:{web.server_address[1]}"
    with running(make_vit(tmp_path_factory.mktemp("vit")), media={"allowed_hosts": allowed}) as server:
        yield server


def predict(server: RunningServer, image: str) -> Any:
    return server.http.post("/v1/models/tiny:predict", json={"instances": [{"image": image}]})


def test_picture_is_fetched_from_an_allowed_host(
    server: RunningServer, web: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "is_public", lambda _: True)
    url = f"http://localhost:{web.server_address[1]}/picture.png"
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(png()) + 4}}
    head = str({"inputs": [tensor]}).replace("'", '"').encode()
    headers = {"inference-header-content-length": str(len(head))}
    content = head + len(png()).to_bytes(4, "little") + png()
    sent = server.http.post("/v2/models/tiny/infer", content=content, headers=headers).json()["outputs"]
    (fetched,) = predict(server, url).json()["predictions"]
    assert [label["label"] for label in fetched] == sent[0]["data"]
    assert [label["score"] for label in fetched] == pytest.approx(sent[1]["data"], abs=1e-6)


def test_nothing_is_opened_when_the_address_is_not_public(server: RunningServer, web: ThreadingHTTPServer) -> None:
    seen = web.RequestHandlerClass.seen  # type: ignore[attr-defined]
    before = len(seen)
    answer = predict(server, f"http://localhost:{web.server_address[1]}/secret")
    assert (answer.status_code, "not public" in answer.text) == (400, True)
    assert len(seen) == before
    for url in ("http://169.254.169.254/", "file:///etc/passwd", "/etc/passwd", "http://[::ffff:127.0.0.1]/"):
        answer = predict(server, url)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "instances.0.image")
