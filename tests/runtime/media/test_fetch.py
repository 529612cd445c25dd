import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.scheduling import QueueFull
from modelservice_runtime.media import fetch as module
from modelservice_runtime.media.fetch import Fetcher, is_public
from modelservice_runtime.media.source import make_reader
from modelservice_runtime.tasks.inputs import InvalidInput

FILE = b"a file" * 1000


class Handler(BaseHTTPRequestHandler):
    """Answers by path: a file, a redirect, a file without end, a drip."""

    def do_GET(self) -> None:
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("location", "http://169.254.169.254/")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/missing" else 200)
        if self.path == "/packed":
            self.send_header("content-encoding", "gzip")
        if self.path in ("/file", "/short"):
            self.send_header("content-length", str(len(FILE) + (self.path == "/short")))
        self.end_headers()
        try:
            self._write()
        except OSError:
            return

    def _write(self) -> None:
        if self.path == "/drip":
            while not self.server.over.is_set():  # type: ignore[attr-defined]
                self.wfile.write(b"x")
                self.server.over.wait(0.05)  # type: ignore[attr-defined]
        elif self.path == "/endless":
            while True:
                self.wfile.write(FILE)
        else:
            self.wfile.write(FILE)

    def log_message(self, *arguments: Any) -> None:
        return


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.over = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.over.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetcher(port: int, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    """A fetcher to which the loopback address counts as public."""
    monkeypatch.setattr(module, "is_public", lambda address: address == "127.0.0.1")
    return Fetcher((f"localhost:{port}",), 0.5)


def refusal(action: Callable[[], Any]) -> str:
    with pytest.raises(InvalidInput) as caught:
        action()
    assert caught.value.field == "image"
    return str(caught.value)


def test_file_is_fetched_from_an_allowed_host(fetcher: Fetcher, port: int) -> None:
    assert fetcher.fetch(f"http://localhost:{port}/file?a=b", "image", 10_000) == FILE
    assert fetcher.fetch(f"http://localhost:{port}/file", "image", len(FILE)) == FILE


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/redirect", "redirects"),
        ("/missing", "status 404"),
        ("/packed", "compressed"),
        ("/endless", "larger than 10000"),
        ("/short", "in time"),
        ("/drip", "in time"),
    ],
)
def test_answer_is_refused_when_it_is_no_small_file(fetcher: Fetcher, port: int, path: str, words: str) -> None:
    message = refusal(lambda: fetcher.fetch(f"http://localhost:{port}{path}", "image", 10_000))
    assert words in message
    assert path not in message


def test_announced_size_is_refused_before_it_is_read(fetcher: Fetcher, port: int) -> None:
    assert "larger than 100 bytes" in refusal(lambda: fetcher.fetch(f"http://localhost:{port}/file", "image", 100))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be connected to."""

    def connect(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://017700000001/",
        "http://other.example/",
        "http://files.example.evil.test/",
        "http://files.example@evil.test/",
        "http://evil.test\\@files.example/",
        "http://user:password@files.example/",
        "http://files.example:8080/",
        "http://files.exämple/",
        "http://files.example /",
        "http://files.example:99999/",
        "https:///etc/passwd",
        "ftp://files.example/",
        "file:///etc/passwd",
    ],
)
def test_url_is_refused_before_anything_is_opened_when_it_is_not_allowed(url: str) -> None:
    settings = Settings.model_validate({"media": {"allowed_hosts": ["files.example", "*.images.example"]}})
    message = refusal(lambda: make_reader(settings).read(url, "image"))
    assert "data: URL" in message
    assert "passw" not in message


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "localhost", "0x7f000001", "10.0.0.1", "169.254.169.254"])
def test_private_address_is_refused_even_when_its_name_is_allowed(host: str) -> None:
    assert "not public" in refusal(lambda: Fetcher((host,), 1).fetch(f"http://{host}/", "image", 100))


@pytest.mark.usefixtures("no_network")
def test_name_is_refused_when_one_of_its_addresses_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("93.184.215.14", "10.1.2.3")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    assert "not public" in refusal(lambda: Fetcher(("files.example",), 1).fetch("http://files.example/", "image", 9))


def test_connection_goes_to_the_address_that_was_checked_when_the_name_changes(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def rebind(host: str, *_: Any, **__: Any) -> list[Any]:
        if host == "127.0.0.1":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1" if len(asked) == 1 else "10.0.0.1", port))]

    monkeypatch.setattr(module, "is_public", lambda _: True)
    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    assert Fetcher((f"files.example:{port}",), 5).fetch(f"http://files.example:{port}/file", "image", 10_000) == FILE
    assert asked == ["files.example"]


def test_fetch_is_refused_at_once_when_too_many_are_running(fetcher: Fetcher, port: int) -> None:
    with ThreadPoolExecutor(2 * module.MOST_AT_ONCE) as pool:
        jobs = [
            pool.submit(fetcher.fetch, f"http://localhost:{port}/drip", "image", 10_000)
            for _ in range(2 * module.MOST_AT_ONCE)
        ]
        errors = [type(job.exception()) for job in jobs]
    assert set(errors) == {InvalidInput, QueueFull}
    assert fetcher.fetch(f"http://localhost:{port}/file", "image", 10_000) == FILE


@pytest.mark.parametrize("rule", ["http://a.example", "a.example/", "*", "*.", "a b", "", "A..", "-a"])
def test_setting_is_refused_when_it_is_no_host(rule: str) -> None:
    if rule:
        with pytest.raises(ValueError, match="a host is a name"):
            Settings.model_validate({"media": {"allowed_hosts": rule}})
    else:
        assert make_reader(Settings()).fetch is None


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
    ],
)
def test_address_is_public_only_on_the_open_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_subdomains_are_allowed_by_a_star_and_the_name_itself_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    fetcher = Fetcher(("*.images.example",), 1)
    assert "not public" in refusal(lambda: fetcher.fetch("http://a.b.images.example/", "image", 9))
    for host in ("images.example", "badimages.example", ".images.example"):
        assert "allowed_hosts" in refusal(lambda host=host: fetcher.fetch(f"http://{host}/", "image", 9))  # type: ignore[misc]
