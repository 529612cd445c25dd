"""Describes a model of a hub without downloading it: its configuration and the headers of its weights."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelservice_runtime.sources.address import HubAddress
from modelservice_runtime.sources.headers import TensorSummary
from modelservice_runtime.sources.hub import Repository, prepare_client
from modelservice_runtime.sources.inspect import INDEX, SINGLE, ModelCard, describe, has_chat_template, read_config
from modelservice_runtime.sources.retry import Retry
from modelservice_runtime.sources.selection import select_files
from modelservice_runtime.sources.variants import PIPELINE_INDEX, choose_weights

if TYPE_CHECKING:
    from huggingface_hub.utils._safetensors import SafetensorsFileMetadata

SMALL_FILES = (PIPELINE_INDEX, "config.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json")

Counts = Mapping[str, Mapping[str, int]]


def inspect_repository(
    address: HubAddress, revision: str, retry: Retry, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> ModelCard:
    """Describe the model of a repository. Raises the faults of `hub` and of `inspect_folder`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "files"
        folder.mkdir()
        prepare_client(Path(scratch) / "client")
        repository = Repository(address, revision, retry)
        files = repository.list_files()
        selected = select_files([file.path for file in files], include, exclude)
        repository.download([file for file in files if file.path in SMALL_FILES], folder)
        config = read_config(folder)
        sizes = {file.path: file.size for file in files}
        count = _count_pipeline if PIPELINE_INDEX in selected else _count_model
        counts = count(repository, selected)
        summary = TensorSummary(
            parameters=sum((Counter(count) for count in counts.values()), Counter()),
            size_bytes=sum(sizes[name] for name in counts),
        )
        return describe(config, summary, has_chat_template(folder), repository.commit)


def _count_model(repository: Repository, selected: Sequence[str]) -> Counts:
    """Return the parameters of each weight file by type: of the index's shards, the single file, or all there are."""
    if INDEX in selected:
        headers = repository.read_headers().files_metadata
        return {name: _by_type(header) for name, header in headers.items()}
    found = [name for name in selected if name.endswith(".safetensors") and "/" not in name]
    names = [SINGLE] if SINGLE in found else found
    return {name: _by_type(repository.read_header(name)) for name in names}


def _count_pipeline(repository: Repository, selected: Sequence[str]) -> Counts:
    """Return the parameters of each weight file of a pipeline's parts by type."""
    names = [name for _, files in choose_weights(selected).values() for name in files]
    return {name: _by_type(repository.read_header(name)) for name in names}


def _by_type(header: "SafetensorsFileMetadata") -> Mapping[str, int]:
    return {str(kind): count for kind, count in header.parameter_count.items()}
