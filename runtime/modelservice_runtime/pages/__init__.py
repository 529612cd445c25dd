"""The two pages for people, `/playground` and `/docs`: files that are read once and sent as they are.

The pages load nothing from the network: a cluster may have none, and nobody should have to trust a third party with
what they type. The scripts are modules without a build step; `vendor` holds Swagger UI, compressed, with its licence.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of a page; `packed` is gzip of it."""

    media_type: str
    packed: bytes
    etag: str

    def plain(self) -> bytes:
        """Return the content for clients that take no gzip."""
        return gzip.decompress(self.packed)


def read_assets(folder: Path = FOLDER) -> dict[str, Asset]:
    """Return all files by name."""
    assets = {path.name: _asset(path.name, gzip.compress(path.read_bytes())) for path in (folder / "static").iterdir()}
    for path in (folder / "vendor").glob("*.gz"):
        assets[path.stem] = _asset(path.stem, path.read_bytes())
    return assets


def _asset(name: str, packed: bytes) -> Asset:
    digest = hashlib.sha256(packed).hexdigest()[:16]
    return Asset(TYPES[Path(name).suffix], packed, f'"{digest}"')
