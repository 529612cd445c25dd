"""A support bundle: files by name, and the archive of them, from which every secret that is known is taken out."""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from modelservice_operator.cli.redaction import find_secrets, redact_object, redact_text


@dataclass(slots=True)
class Bundle:
    """Files on their way into an archive. Everything is kept as it is until all secrets are known."""

    objects: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def add_object(self, path: str, body: Any) -> None:
        """Add an object or a list of them; `path` ends in .yaml or .json, and so it is written."""
        self.objects[path] = body

    def add_text(self, path: str, text: str) -> None:
        """Add a text, such as a log."""
        self.texts[path] = text

    def files(self) -> dict[str, str]:
        """Path and content of every file, redacted."""
        secrets = frozenset(find_secrets(list(self.objects.values())))
        written = {path: _write(path, redact_object(body, secrets)) for path, body in self.objects.items()}
        texts = {path: redact_text(text, secrets) for path, text in self.texts.items()}
        return dict(sorted({**written, **texts}.items()))


def _write(path: str, document: Any) -> str:
    if path.endswith(".json"):
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1 << 20)


def pack(files: Mapping[str, str], folder: str) -> bytes:
    """The files as a tar.gz archive whose entries lie in `folder`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(f"{folder}/{path}")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
