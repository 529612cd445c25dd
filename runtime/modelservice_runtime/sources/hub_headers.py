"""Describes a model of a hub without downloading it: its configuration and the headers of its weights."""

import tempfile
from collections import Counter
from pathlib import Path

from modelservice_runtime.sources.address import HubAddress
from modelservice_runtime.sources.headers import TensorSummary
from modelservice_runtime.sources.hub import Repository, prepare_client
from modelservice_runtime.sources.inspect import ModelCard, describe, has_chat_template, read_config
from modelservice_runtime.sources.retry import Retry
from modelservice_runtime.sources.selection import select_files

SMALL_FILES = ("config.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json")


def inspect_repository(address: HubAddress, revision: str, retry: Retry) -> ModelCard:
    """Describe the model of a repository. Raises the faults of `hub` and of `inspect_folder`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "files"
        folder.mkdir()
        prepare_client(Path(scratch) / "client")
        repository = Repository(address, revision, retry)
        files = repository.list_files()
        select_files([file.path for file in files])
        repository.download([file for file in files if file.path in SMALL_FILES], folder)
        config = read_config(folder)
        weights = repository.read_headers()
        sizes = {file.path: file.size for file in files}
        summary = TensorSummary(
            parameters=Counter(weights.parameter_count),
            size_bytes=sum(sizes[name] for name in weights.files_metadata),
        )
        return describe(config, summary, has_chat_template(folder), repository.commit)
