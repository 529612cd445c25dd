"""Model URIs: where a model comes from.

| form | meaning |
| --- | --- |
| `hf://org/name[@revision]` | a repository of a Hugging Face hub |
| `https://host[:port]/path` | files on a web server |
| `pvc://claim[/path]` | a folder of a PersistentVolumeClaim in the namespace |
| `oci://registry/name[:tag][@sha256:digest]` | an image that holds the model at its root |
| `s3://bucket/path`, `gs://bucket/path`, `az://container/path` | object storage |

The patterns are RE2 and anchored, because the CRD carries them too. No credentials can be written in a URI, and no `..`
in a path that is mounted.
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_LENGTH: Final = 1024

_SEGMENT: Final = "[A-Za-z0-9_][A-Za-z0-9._-]*"
_REVISION: Final = "[A-Za-z0-9][A-Za-z0-9._/-]{0,127}"

PATTERNS: Final[dict[str, str]] = {
    "hf": f"^hf://[A-Za-z0-9][A-Za-z0-9._-]{{0,95}}/[A-Za-z0-9][A-Za-z0-9._-]{{0,95}}(@{_REVISION})?$",
    "https": "^https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/[!-&(-~]+$",
    "pvc": f"^pvc://[a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?(/{_SEGMENT})*/?$",
    "oci": (
        "^oci://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+"
        "(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[a-f0-9]{64})?$"
    ),
    "s3": f"^s3://[a-z0-9][a-z0-9._-]{{1,62}}(/{_SEGMENT})*/?$",
    "gs": f"^gs://[a-z0-9][a-z0-9._-]{{1,62}}(/{_SEGMENT})*/?$",
    "az": f"^az://[a-z0-9][a-z0-9._-]{{1,62}}(/{_SEGMENT})*/?$",
}

FORMS: Final = (
    "hf://org/name[@revision], https://host/path, s3://bucket/path, gs://bucket/path, az://container/path, "
    "pvc://claim[/path] or oci://registry/name[:tag]"
)
"""The forms that work, for messages."""

REMOTE_SCHEMES: Final = ("hf", "https", "s3", "gs", "az")
"""Schemes whose models are fetched over the network by the fetch container."""

_COMPILED: Final = {scheme: re.compile(pattern) for scheme, pattern in PATTERNS.items()}


@dataclass(frozen=True, slots=True)
class ModelUri:
    """A parsed model URI.

    `location` is the repository, claim, bucket, host (with port) or complete image reference; `path` is what follows
    it, without slashes at its ends; `revision` is what stands behind `@` in an hf URI.
    """

    scheme: str
    location: str
    path: str = ""
    revision: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether the fetch container downloads it; otherwise it is mounted."""
        return self.scheme in REMOTE_SCHEMES

    @classmethod
    def parse(cls, text: str) -> "ModelUri":
        """Take a URI apart. Raises ValueError, naming the forms, for anything else."""
        scheme = scheme_of(text)
        if scheme not in PATTERNS or len(text) > MAX_LENGTH or not _COMPILED[scheme].fullmatch(text):
            raise ValueError(f"{text!r} is not a model URI; write {FORMS}")
        rest = text.removeprefix(f"{scheme}://")
        if scheme == "oci":
            return cls(scheme, rest)
        if scheme == "hf":
            location, _, revision = rest.partition("@")
            return cls(scheme, location, revision=revision)
        location, _, path = rest.partition("/")
        return cls(scheme, location, path if scheme == "https" else path.strip("/"))


def scheme_of(text: str) -> str:
    """What stands before `://`, or nothing."""
    scheme, separator, _ = text.partition("://")
    return scheme if separator else ""


def is_model_uri(text: str) -> bool:
    """Whether the text has one of the documented forms."""
    pattern = _COMPILED.get(scheme_of(text))
    return pattern is not None and pattern.fullmatch(text) is not None
