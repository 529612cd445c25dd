"""Fetches a file from a URL in a request, without becoming the client's hands inside of the network.

A server that opens any address on a client's word can be sent to the metadata service of a cloud, to the pod next door
or to itself. So the host must be on the operator's list; its name is resolved once, every address that comes out must
be public, and the connection goes to the very address that was checked, so that a name that changes its mind in between
(DNS rebinding) gains nothing. Redirects are refused. Size and time are bounded, whatever the other side sends.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from modelservice_runtime.engine.scheduling import QueueFull
from modelservice_runtime.tasks.inputs import InvalidInput

PORTS = {"http": 80, "https": 443}
HEADERS = {"accept-encoding": "identity", "user-agent": "modelservice"}
CHUNK_BYTES = 1 << 16
MOST_AT_ONCE = 8
NAT64 = ipaddress.ip_network("64:ff9b::/96")
WAY_OUT = "send the file itself as a data: URL or as base64"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to go: the name for the protocol, and the address that was checked for the connection."""

    scheme: str
    host: str
    port: int
    path: str
    address: str = ""


class Fetcher:
    """Fetches from `allowed` hosts (`name`, `*.name`, `name:port`) within `seconds`; used on the CPU pool."""

    def __init__(self, allowed: tuple[str, ...], seconds: float) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._tls = ssl.create_default_context()

    def fetch(self, url: str, field: str, max_bytes: int) -> bytes:
        """Return the file. Raises InvalidInput naming `field`, or QueueFull; neither repeats the URL."""
        target = read_target(url, self._allowed, field)
        if not self._free.acquire(blocking=False):
            raise QueueFull("queue_full", f"{MOST_AT_ONCE} files are already being fetched")
        try:
            return self._download(resolve(target, field), field, max_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(field, f"the file could not be fetched ({type(error).__name__}); {WAY_OUT}") from None
        finally:
            self._free.release()

    def _download(self, target: Target, field: str, max_bytes: int) -> bytes:
        connection = _Connection(target, self._tls, self._seconds)
        watch = threading.Timer(self._seconds, connection.abort)
        watch.daemon = True
        watch.start()
        try:
            connection.request("GET", target.path, headers=HEADERS)
            with connection.getresponse() as response:
                _check_answer(response, field, max_bytes)
                data = _read(response, field, max_bytes)
            if connection.aborted or response.length:
                raise InvalidInput(field, f"the file did not arrive whole in time; {WAY_OUT}")
            return data
        finally:
            watch.cancel()
            connection.close()


class _Connection(http.client.HTTPConnection):
    """A connection to the checked address that speaks for the name, in HTTP and in TLS."""

    def __init__(self, target: Target, tls: ssl.SSLContext, seconds: float) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self._target = target
        self._tls = tls
        self._wire: socket.socket | None = None  # http.client lets go of its own before the body is read
        self.aborted = False
        self.default_port = PORTS[target.scheme]

    def connect(self) -> None:
        """Connect to the address, whatever the name resolves to by now."""
        self.sock = self._wire = socket.create_connection((self._target.address, self._target.port), self.timeout)
        if self._target.scheme == "https":
            secure = self._tls.wrap_socket(self.sock, server_hostname=self._target.host, do_handshake_on_connect=False)
            self.sock = self._wire = secure
            secure.do_handshake()

    def abort(self) -> None:
        """End whatever is read or written; from another thread."""
        self.aborted = True
        if self._wire is not None:
            try:
                self._wire.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


def read_target(url: str, allowed: tuple[str, ...], field: str) -> Target:
    """Return where a URL points to; nothing is opened or resolved yet. Raises InvalidInput when it is not allowed."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip(".").lower(), parts.port
    except ValueError:
        raise InvalidInput(field, f"not a URL; {WAY_OUT}") from None
    if parts.scheme not in PORTS or parts.username is not None or not _is_plain(url, host):
        raise InvalidInput(field, f"only plain http and https URLs are fetched; {WAY_OUT}")
    port = port or PORTS[parts.scheme]
    if not any(_matches(rule, host, port, PORTS[parts.scheme]) for rule in allowed):
        raise InvalidInput(field, f"this host is not in media.allowed_hosts; {WAY_OUT}")
    return Target(parts.scheme, host, port, _path(parts))


def _is_plain(url: str, host: str) -> bool:
    """Refuse what parsers read differently: spaces, backslashes, controls, names that are not ASCII."""
    return bool(host) and url.isascii() and all("!" <= letter <= "~" and letter != "\\" for letter in url)


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _matches(rule: str, host: str, port: int, default: int) -> bool:
    name, _, stated = rule.partition(":")
    if port != (int(stated) if stated else default):
        return False
    return host.endswith(name[1:]) and len(host) > len(name) - 1 if name.startswith("*.") else host == name


def resolve(target: Target, field: str) -> Target:
    """Return the target with the address to connect to. Raises InvalidInput unless every address is public."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise InvalidInput(field, f"the host of the URL cannot be found; {WAY_OUT}") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(is_public(address) for address in addresses):
        raise InvalidInput(field, f"the host of the URL has an address that is not public; {WAY_OUT}")
    return Target(target.scheme, target.host, target.port, target.path, addresses[0])


def is_public(address: str) -> bool:
    """Tell whether an address is one of the open internet, also when it hides inside of an IPv6 address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        hidden = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if hidden is None and parsed in NAT64:
            hidden = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if hidden is not None:
            return is_public(str(hidden))
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def _check_answer(response: http.client.HTTPResponse, field: str, max_bytes: int) -> None:
    if 300 <= response.status < 400:
        raise InvalidInput(field, "the URL redirects, which is not followed; give the address of the file itself")
    if response.status != 200:
        raise InvalidInput(field, f"the URL answered with status {response.status}; {WAY_OUT}")
    if response.getheader("content-encoding", "identity") != "identity":
        raise InvalidInput(field, f"the URL answered with a compressed body; {WAY_OUT}")
    if response.length is not None and response.length > max_bytes:
        raise _too_large(field, max_bytes)


def _read(response: http.client.HTTPResponse, field: str, max_bytes: int) -> bytes:
    chunks, size = [], 0
    while chunk := response.read(CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(field, max_bytes)
    return b"".join(chunks)


def _too_large(field: str, max_bytes: int) -> InvalidInput:
    return InvalidInput(field, f"the file is larger than {max_bytes} bytes; use a smaller one", reason="body_too_large")
