"""Fetches a model from a plain web server over https.

Two kinds of address are understood, because a web server has no listing to rely on:
- an archive (`.tar`, `.tar.gz`, `.tgz`, `.zip`) that holds the model's files, at its root or in one folder;
- a weight file (`NAME.safetensors`) or an index (`NAME.safetensors.index.json`), beside which the usual configuration
  and tokenizer files lie: `config.json` must be there, the others are taken when they are.

A fragment `#sha256=<hex>` demands that digest of the named file. The digest of the named file is also the resolved
revision, so that a changed file shows as another revision. `HTTP_AUTHORIZATION`, when set, is sent as the header
`Authorization` to the address's own host, and never along with a redirect to another one.
"""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from modelservice_runtime.errors import BadSettings, ChecksumMismatch, ModelNotFound, NotAllowed
from modelservice_runtime.sources.address import WebAddress
from modelservice_runtime.sources.archive import ARCHIVE_SUFFIXES, extract_archive
from modelservice_runtime.sources.documents import shard_names
from modelservice_runtime.sources.inspect import ModelCard
from modelservice_runtime.sources.progress import Progress, folder_bytes
from modelservice_runtime.sources.retry import Retry
from modelservice_runtime.sources.selection import select_files
from modelservice_runtime.sources.staging import Marker, disk_errors, is_current, open_stage, publish, require_space
from modelservice_runtime.sources.transfer import Remote, open_client, sha256_of, transfer

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

INDEX_SUFFIX = ".safetensors.index.json"
REQUIRED = ("config.json",)
OPTIONAL = (
    "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "chat_template.jinja",
    "preprocessor_config.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json",
)  # fmt: skip


def fetch_from_web(
    address: WebAddress, folder: Path, *, include: Sequence[str], exclude: Sequence[str], retry: Retry
) -> None:
    """Bring the model behind an https address into `folder`; do nothing when the same version is there already.

    Raises ModelNotFound, NotAllowed, SourceUnavailable, ChecksumMismatch, DiskFull, UnusableModel, or BadSettings for
    an address of neither kind.
    """
    is_archive = _require_kind(address)
    with open_client(os.environ.get("HTTP_AUTHORIZATION", "")) as client, disk_errors(folder):
        download = _Download(client, address, folder, retry)
        if download.is_done():
            log.info("the model is there already", extra={"version": download.main.version})
            return
        names = download.archive(include, exclude) if is_archive else download.files(include, exclude)
        download.publish(names)


def inspect_web(address: WebAddress, retry: Retry) -> ModelCard:
    """Tell whether the named file can be had, and its size; what is in it is known only when it is there.

    Raises ModelNotFound, NotAllowed, SourceUnavailable or BadSettings.
    """
    _require_kind(address)
    with open_client(os.environ.get("HTTP_AUTHORIZATION", "")) as client:
        size = Remote.ask(client, address.url, retry).size
    holds_weights = not address.filename.endswith(INDEX_SUFFIX)
    return ModelCard(None, None, None, None, size_bytes=size if size and holds_weights else None, format="")


def _require_kind(address: WebAddress) -> bool:
    """Tell an archive from a file of weights or an index. Raises BadSettings for everything else."""
    name = address.filename
    is_archive = name.endswith(ARCHIVE_SUFFIXES)
    if not is_archive and not name.endswith((".safetensors", INDEX_SUFFIX)):
        raise BadSettings(
            f"{address.url} is neither an archive nor a safetensors file",
            hint=f"https addresses end in {', '.join(ARCHIVE_SUFFIXES)}, .safetensors or {INDEX_SUFFIX}",
        )
    return is_archive


class _Download:
    """One fetch of one address."""

    def __init__(self, client: "httpx.Client", address: WebAddress, folder: Path, retry: Retry) -> None:
        self._client = client
        self._address = address
        self._folder = folder
        self._retry = retry
        self.main = Remote.ask(client, address.url, retry)
        self._key = f"{address.uri}@{self.main.version or uuid4()}"
        self._stage = Path()
        self._digest = ""

    def is_done(self) -> bool:
        """Tell whether the folder holds this version; where the server states none, every fetch is a new one."""
        return is_current(self._folder, self._key)

    def archive(self, include: Sequence[str], exclude: Sequence[str]) -> list[str]:
        """Fetch and unpack an archive; return the files to publish."""
        self._open_stage()
        packed = self._folder / ".partial" / "archive" / self._address.filename
        packed.parent.mkdir(exist_ok=True)
        self._fetch_main(packed)
        log.info("unpacking", extra={"bytes": packed.stat().st_size})
        shutil.rmtree(self._stage)
        self._stage.mkdir()
        extract_archive(packed, self._stage)
        packed.unlink()
        present = [path.relative_to(self._stage).as_posix() for path in self._stage.rglob("*") if path.is_file()]
        return list(select_files(present, include, exclude))

    def files(self, include: Sequence[str], exclude: Sequence[str]) -> list[str]:
        """Fetch the weights, configuration and tokenizer; return the files to publish."""
        self._open_stage()
        for name in REQUIRED:
            self._fetch_beside(name, required=True)
        for name in OPTIONAL:
            self._fetch_beside(name, required=False)
        main = self._stage / self._address.filename
        self._fetch_main(main)
        if main.name.endswith(INDEX_SUFFIX):
            for shard in shard_names(main):
                self._fetch_beside(shard, required=True)
        present = [path.relative_to(self._stage).as_posix() for path in self._stage.rglob("*") if path.is_file()]
        return list(select_files(present, include, exclude))

    def publish(self, names: Sequence[str]) -> None:
        """Put the staged files in place."""
        sizes = {name: (self._stage / name).stat().st_size for name in names}
        publish(self._folder, Marker(self._address.uri, self._key, f"sha256:{self._digest}", sizes))

    def _open_stage(self) -> None:
        self._stage = open_stage(self._folder, self._key)
        require_space(self._folder, self.main.size - folder_bytes(self._folder / ".partial"))

    def _fetch_main(self, path: Path) -> None:
        with Progress(path.parent, self.main.size):
            transfer(self._client, self._address.url, path, self._retry)
        self._digest = sha256_of(path)
        if self._address.sha256 and self._digest != self._address.sha256:
            path.unlink()
            raise ChecksumMismatch(
                f"{path.name} arrived with digest {self._digest}, the address demands {self._address.sha256}"
            )

    def _fetch_beside(self, name: str, *, required: bool) -> None:
        path = self._stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        url = self._address.url.removesuffix(self._address.filename) + name
        try:
            with Progress(path.parent, self.main.size):
                transfer(self._client, url, path, self._retry)
        except (ModelNotFound, NotAllowed):  # some stores answer 403 for what does not exist
            if required:
                raise
