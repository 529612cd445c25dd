"""Parses the address of a model: a hub's, a web server's, an object store's, or a local folder."""

import re
from dataclasses import dataclass
from urllib.parse import urldefrag, urlsplit

from modelservice_runtime.errors import BadSettings

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
SHA256_FRAGMENT = re.compile(r"sha256=([0-9a-f]{64})")
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}[a-z0-9]")
MOUNTED = ("pvc", "oci")
STORES = ("s3", "gs", "az")


@dataclass(frozen=True)
class HubAddress:
    """A repository of a model hub."""

    uri: str
    repo: str


@dataclass(frozen=True)
class WebAddress:
    """A file on a web server; `sha256` is the digest that the address demands, or empty."""

    uri: str
    url: str
    sha256: str

    @property
    def filename(self) -> str:
        """Last part of the path."""
        return urlsplit(self.url).path.rpartition("/")[2]


@dataclass(frozen=True)
class StoreAddress:
    """A folder (`prefix`, without slashes around it) of a bucket of an object store."""

    uri: str
    scheme: str
    bucket: str
    prefix: str


Address = HubAddress | WebAddress | StoreAddress


def has_scheme(text: str) -> bool:
    """Tell an address from a local path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def parse_address(uri: str) -> Address:
    """Parse a fetchable address. Raises BadSettings for every other one, and says what to do instead."""
    scheme, _, rest = uri.partition("://")
    if scheme == "hf":
        if not HUB_ID.fullmatch(rest):
            raise BadSettings(f"{uri!r} is no hub address", hint="write hf://ORGANISATION/NAME; revisions go apart")
        return HubAddress(uri, rest)
    if scheme == "https":
        return _parse_web(uri)
    if scheme in STORES:
        return _parse_store(uri, scheme, rest)
    if scheme in MOUNTED:
        raise BadSettings(
            f"{scheme}:// models are mounted into the pod, not fetched: {uri!r}",
            hint="name the folder where the volume is mounted",
        )
    if scheme == "http":
        raise BadSettings(f"{uri!r} is not encrypted", hint="serve the model over https")
    raise BadSettings(
        f"cannot fetch {uri!r}", hint="fetchable addresses start with hf://, https://, s3://, gs:// or az://"
    )


def _parse_store(uri: str, scheme: str, rest: str) -> StoreAddress:
    bucket, _, path = rest.partition("/")
    prefix = path.strip("/")
    if not BUCKET_NAME.fullmatch(bucket) or any(part in ("", ".", "..") for part in prefix.split("/") if prefix):
        raise BadSettings(f"{uri!r} is no {scheme}:// address", hint=f"write {scheme}://BUCKET/FOLDER")
    return StoreAddress(uri, scheme, bucket, prefix)


def _parse_web(uri: str) -> WebAddress:
    url, fragment = urldefrag(uri)
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise BadSettings("the https address carries credentials", hint="put them into the Secret's authorization key")
    if not parts.hostname or not parts.path.strip("/"):
        raise BadSettings(f"{uri!r} names no file", hint="name an archive or a .safetensors file")
    digest = SHA256_FRAGMENT.fullmatch(fragment)
    if fragment and not digest:
        raise BadSettings(f"the fragment of {uri!r} is no digest", hint="write #sha256= and 64 lower-case hex digits")
    return WebAddress(uri, url, digest.group(1) if digest else "")
