"""A small model hub: folders served with the Hugging Face hub's own protocol over real HTTP.

It speaks as much of the protocol as the real client needs to download a model, on the path without xet storage: model
information with the commit, recursive tree listing in pages, `resolve` with ETags, the redirect of large files to
storage, ranges, tokens, private and gated repositories, and the hub's habit of answering 401 for whatever an anonymous
caller may not see. A commit is the digest of a repository's content, so changing a file makes a new one.

    python -m tests.support.hub --root FOLDER --port 9000     # serves FOLDER/ORG/NAME/...

In tests, `Hub` runs in a thread; `break_*` make it misbehave and `requests` tells what it was asked for.
"""

import argparse
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE_SUFFIXES = (".safetensors", ".bin", ".pt", ".gguf")
PAGE_ENTRIES = 50
CHUNK_BYTES = 1 << 20
API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree)/(?P<revision>[^/]+)/?)?")
RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
STORAGE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/(?P<path>.+)")


@dataclass(frozen=True)
class Access:
    """Who may see what: tokens and the gated repositories that each was granted; private and gated repositories."""

    tokens: Mapping[str, Sequence[str]] = field(default_factory=dict)
    private: Sequence[str] = ()
    gated: Sequence[str] = ()


@dataclass(frozen=True)
class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """An answer in the hub's error format."""

    status: int
    message: str
    code: str = ""


@dataclass(frozen=True)
class StoredFile:
    """A file of a repository: large ones are known by their SHA-256, the others by git's blob id."""

    path: Path
    name: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def is_large(self) -> bool:
        return self.name.endswith(LARGE_SUFFIXES)

    @property
    def etag(self) -> str:
        return _digest(self.path, self.path.stat().st_mtime_ns, self.is_large)

    def tree_entry(self, claimed: int | None = None) -> dict[str, Any]:
        size = self.size if claimed is None else claimed
        entry: dict[str, Any] = {"type": "file", "oid": self.etag[:40], "size": size, "path": self.name}
        if self.is_large:
            entry["lfs"] = {"oid": self.etag, "size": size, "pointerSize": 134}
        return entry


@lru_cache(maxsize=1024)
def _digest(path: Path, _modified: int, large: bool) -> str:
    if large:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Repository:
    """One folder as a repository with a single commit, which `main` and its digest name."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self._folder = root / name

    def exists(self) -> bool:
        return self._folder.is_dir()

    def files(self) -> list[StoredFile]:
        paths = sorted(path for path in self._folder.rglob("*") if path.is_file())
        return [StoredFile(path, path.relative_to(self._folder).as_posix()) for path in paths]

    def commit(self) -> str:
        listing = "\n".join(f"{file.name} {file.etag}" for file in self.files())
        return hashlib.sha1(listing.encode()).hexdigest()

    def info(self) -> dict[str, Any]:
        siblings = [{"rfilename": file.name} for file in self.files()]
        return {"id": self.name, "modelId": self.name, "sha": self.commit(), "siblings": siblings, "tags": []}


class Hub:
    """The hub in a thread: `with Hub(root) as hub:` then `HF_ENDPOINT=hub.url`."""

    def __init__(self, root: Path, access: Access | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.root = root
        self.access = access or Access()
        self.requests: list[str] = []
        self._failures: list[tuple[str, int]] = []
        self._cuts: list[tuple[str, int]] = []
        self._damaged: set[str] = set()
        self.claimed_sizes: dict[str, int] = {}
        """Sizes in bytes that listings give for files, by name, whatever they are."""
        self._servers = [
            ThreadingHTTPServer((host, number), type("Handler", (_Handler,), {"hub": self, "routes": routes}))
            for number, routes in ((port, "_hub"), (port + 1 if port else 0, "_storage"))
        ]

    @property
    def url(self) -> str:
        host, port = self._servers[0].server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def storage_port(self) -> int:
        """Port of the storage: another origin, as the real hub's is, so credentials must not follow there."""
        return self._servers[1].server_port

    def __enter__(self) -> "Hub":
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def break_status(self, part: str, status: int, times: int = 1) -> None:
        """Answer the next `times` requests whose path holds `part` with a status."""
        self._failures += [(part, status)] * times

    def mend_status(self) -> None:
        """Answer everything again."""
        self._failures.clear()

    def break_connection(self, part: str, after: int, times: int = 1) -> None:
        """Close the connection after so many bytes of the body, for the next `times` matching downloads."""
        self._cuts += [(part, after)] * times

    def break_content(self, name: str) -> None:
        """Serve a damaged file: the size is right, a byte is not."""
        self._damaged.add(name)

    def mend_content(self) -> None:
        """Serve all files as they are."""
        self._damaged.clear()

    def next_failure(self, path: str) -> int:
        return self._take(self._failures, path)

    def next_cut(self, path: str) -> int:
        return self._take(self._cuts, path)

    def is_damaged(self, file: StoredFile) -> bool:
        return file.name in self._damaged

    @staticmethod
    def _take(planned: list[tuple[str, int]], path: str) -> int:
        for entry in planned:
            if entry[0] in path:
                planned.remove(entry)
                return entry[1]
        return 0


class _Handler(BaseHTTPRequestHandler):
    """Routes one request; every answer goes through `_send`."""

    protocol_version = "HTTP/1.1"
    hub: Hub
    routes: str

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet; `Hub.requests` has the log."""

    def _answer(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.hub.requests.append(f"{self.command} {path}")
        try:
            if status := self.hub.next_failure(path):
                raise Refusal(status, "made to fail")
            getattr(self, self.routes)(path, parse_qs(url.query))
        except Refusal as refusal:
            headers = {"X-Error-Message": refusal.message}
            if refusal.code:
                headers["X-Error-Code"] = refusal.code
            self._send(refusal.status, json.dumps({"error": refusal.message}).encode(), headers)

    def _hub(self, path: str, query: Mapping[str, list[str]]) -> None:
        if match := RESOLVE.fullmatch(path):
            self._resolve(match["repo"], match["revision"], match["path"])
        elif match := API.fullmatch(path):
            self._api(match["repo"], match["what"], match["revision"], query)
        else:
            raise Refusal(404, "Sorry, we can't find the page you are looking for.")

    def _storage(self, path: str, _: Mapping[str, list[str]]) -> None:
        if "Authorization" in self.headers:
            raise Refusal(400, "Only one auth mechanism allowed")
        match = STORAGE.fullmatch(path)
        if not match:
            raise Refusal(403, "Access Denied")
        self._send_content(self._file(Repository(self.hub.root, match["repo"]), match["path"]), {})

    def _token(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.access.tokens:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return token

    def _repository(self, name: str, revision: str | None) -> Repository:
        """Find what the caller may see: an anonymous one is not told whether a repository exists."""
        token = self._token()
        repository = Repository(self.hub.root, name)
        visible = repository.exists() and (token or name not in self.hub.access.private)
        if not visible:
            raise (
                Refusal(404, "Repository not found", "RepoNotFound")
                if token
                else Refusal(401, "Invalid username or password.")
            )
        if revision not in (None, "main", repository.commit()):
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return repository

    def _api(self, name: str, what: str | None, revision: str | None, query: Mapping[str, list[str]]) -> None:
        repository = self._repository(name, revision)
        if what != "tree":
            return self._send_json(repository.info())
        entries = [file.tree_entry(self.hub.claimed_sizes.get(file.name)) for file in repository.files()]
        start = int(query.get("cursor", ["0"])[0])
        end = start + PAGE_ENTRIES
        following = f"http://{self.headers['Host']}{urlsplit(self.path).path}?recursive=true&cursor={end}"
        more = {"Link": f'<{following}>; rel="next"'} if end < len(entries) else {}
        return self._send_json(entries[start:end], more)

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repository = self._repository(name, revision)
        token = self._token()
        if name in self.hub.access.gated and name not in self.hub.access.tokens.get(token, ()):
            raise Refusal(403 if token else 401, f"Access to model {name} is restricted.", "GatedRepo")
        file = self._file(repository, path)
        commit = {"X-Repo-Commit": repository.commit()}
        if not file.is_large:
            return self._send_content(file, commit)
        linked = {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
        location = {"Location": f"http://{self._storage_host()}:{self.hub.storage_port}/{name}/{file.name}"}
        return self._send(302, b"", {**commit, **linked, **location, "ETag": f'"{file.etag}"'})

    def _storage_host(self) -> str:
        """Name this machine as another host than the caller did: its address, or the address as a plain number."""
        own = self.connection.getsockname()[0]
        return own if self.headers["Host"].rpartition(":")[0] != own else str(int(IPv4Address(own)))

    def _file(self, repository: Repository, path: str) -> StoredFile:
        for file in repository.files():
            if file.name == path:
                return file
        raise Refusal(404, "Entry not found", "EntryNotFound")

    def _send_content(self, file: StoredFile, headers: Mapping[str, str]) -> None:
        size = file.size
        headers = {**headers, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = (int(span[1]), min(int(span[2] or size - 1), size - 1)) if span else (0, size - 1)
        if span and start >= size:
            raise Refusal(416, "Range not satisfiable")
        if span:
            headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        self._send_head(206 if span else 200, end - start + 1, headers)
        if self.command == "HEAD":
            return
        if cut := self.hub.next_cut(self.path):
            end = start + cut - 1
            self.close_connection = True
        with file.path.open("rb") as content, contextlib.suppress(ConnectionError):
            content.seek(start)
            while chunk := content.read(min(CHUNK_BYTES, end + 1 - content.tell())):
                if self.hub.is_damaged(file) and content.tell() == size:
                    chunk = chunk[:-1] + bytes([chunk[-1] ^ 0xFF])
                self.wfile.write(chunk)

    def _send_json(self, content: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(200, json.dumps(content).encode(), {**(headers or {}), "Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._send_head(status, len(body), headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder that holds ORG/NAME folders")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=9000, help="the storage listens on the next one")
    parser.add_argument("--token", action="append", default=[], metavar="TOKEN[=ORG/NAME,...]", help="a valid token")
    parser.add_argument("--private", action="append", default=[], metavar="ORG/NAME")
    parser.add_argument("--gated", action="append", default=[], metavar="ORG/NAME")
    options = parser.parse_args()
    tokens = {token: granted.split(",") for token, _, granted in (text.partition("=") for text in options.token)}
    access = Access(tokens, options.private, options.gated)
    with Hub(options.root, access, host=options.host, port=options.port) as hub:
        print(f"serving {options.root} at {hub.url}, storage at port {hub.storage_port}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
