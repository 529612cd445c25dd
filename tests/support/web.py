"""A plain https server for folders: a self-made certificate, ranges, ETags, and mishaps on demand."""

import contextlib
import hashlib
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = folder / "certificate.pem", folder / "key.pem"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key_path.write_bytes(key.private_bytes(*encoding))
    return certificate_path, key_path


class Web:
    """The server in a thread. `authorization` is the header that it demands; `redirects` maps paths to addresses."""

    def __init__(self, root: Path, certificate: tuple[Path, Path], *, authorization: str = "") -> None:
        self.root = root
        self.authorization = authorization
        self.redirects: dict[str, str] = {}
        self.states_versions = True
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self.seen_authorizations: list[str] = []
        self.failures: list[tuple[str, int]] = []
        self.cuts: list[tuple[str, int]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": self}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Web":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def take(planned: list[tuple[str, int]], path: str) -> int:
        for entry in planned:
            if entry[0] in path:
                planned.remove(entry)
                return entry[1]
        return 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.web.requests.append(f"{self.command} {path}")
        self.web.seen_authorizations.append(self.headers.get("Authorization", ""))
        file = self.web.root / path.lstrip("/")
        if status := self.web.take(self.web.failures, path):
            self._send(status, b"", {})
        elif path in self.web.redirects:
            self._send(302, b"", {"Location": self.web.redirects[path]})
        elif self.web.authorization and self.headers.get("Authorization") != self.web.authorization:
            self._send(403 if "Authorization" in self.headers else 401, b"", {})
        elif not file.is_file():
            self._send(404, b"", {})
        else:
            self._send_file(file.read_bytes())

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet; `Web.requests` has the log."""

    def _send_file(self, body: bytes) -> None:
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        headers = {"ETag": etag} if self.web.states_versions else {}
        span = self.headers.get("Range", "")
        if span and self.headers.get("If-Range", etag) == etag:
            self.web.ranges.append(span)
            start = int(span.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self._send(206, body[start:], headers)
        else:
            self._send(200, body, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut := self.web.take(self.web.cuts, self.path) if body else 0:
            body = body[:cut]
            self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(body)
