"""Brings the model, or the adapter, behind an address into a folder, and describes what arrived."""

import hashlib
import logging
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelservice_runtime.sources.address import HubAddress, StoreAddress, WebAddress, parse_address
from modelservice_runtime.sources.inspect import ModelCard, inspect_adapter, inspect_folder, is_adapter
from modelservice_runtime.sources.retry import Retry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchRequest:
    """What to fetch, where to, and which files of it; `parallel` transfers at once, 0 for what suits the source."""

    uri: str
    folder: Path
    revision: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    retry: Retry = field(default_factory=Retry)
    parallel: int = 0


@dataclass(frozen=True)
class FetchResult:
    """The model that is now in the folder, and how long it took in seconds."""

    card: ModelCard
    download_seconds: float

    def to_result(self) -> dict[str, Any]:
        """Return the result with the names of the termination message."""
        return {**self.card.to_result(), "downloadSeconds": round(self.download_seconds, 3)}


def fetch_model(request: FetchRequest) -> FetchResult:
    """Fetch, verify and describe a model. Raises one of the faults; the folder is then not taken for a model."""
    start = time.monotonic()
    address = parse_address(request.uri)
    if isinstance(address, HubAddress):
        from modelservice_runtime.sources.hub import fetch_from_hub  # noqa: PLC0415

        fetch_from_hub(
            address,
            request.folder,
            revision=request.revision,
            include=request.include,
            exclude=request.exclude,
            retry=request.retry,
            parallel=request.parallel,
        )
    elif isinstance(address, WebAddress):
        from modelservice_runtime.sources.web import fetch_from_web  # noqa: PLC0415

        fetch_from_web(address, request.folder, include=request.include, exclude=request.exclude, retry=request.retry)
    elif isinstance(address, StoreAddress):
        from modelservice_runtime.sources.store import fetch_from_store  # noqa: PLC0415

        fetch_from_store(
            address,
            request.folder,
            revision=request.revision,
            include=request.include,
            exclude=request.exclude,
            retry=request.retry,
            parallel=request.parallel,
        )
    result = FetchResult(describe_folder(request.folder), time.monotonic() - start)
    log.info("the model is complete", extra=result.to_result())
    return result


def describe_folder(folder: Path) -> ModelCard:
    """Describe the model or the adapter in a folder. Raises ModelNotFound or UnusableModel."""
    return inspect_adapter(folder) if is_adapter(folder) else inspect_folder(folder)


def cache_folder(uri: str, revision: str) -> Path:
    """Return the folder in the user's cache for a model that `serve` was given by its address."""
    base = os.environ.get("MODELSERVICE_CACHE") or os.environ.get("XDG_CACHE_HOME")
    root = Path(base) if base else Path.home() / ".cache" / "modelservice"
    digest = hashlib.sha256(f"{uri}@{revision}".encode()).hexdigest()[:12]
    stem = re.sub(r"[^A-Za-z0-9.-]+", "-", uri.partition("://")[2].partition("#")[0]).strip("-.")[-60:]
    return root / "fetched" / f"{stem}-{digest}"
