"""What must not leave a cluster: found in objects by where it stands, and then taken out of every text.

An environment variable with a value, a field with a telling name and a header are secret wherever they stand in an
object. Whatever was found so is taken out of all other texts too (logs, events, messages), and so is what looks like a
token by itself. Names of Secrets and of their keys are kept: they are what a reader needs. Secrets are never read.
"""

import base64
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

MARK: Final = "[redacted]"

_TELLING: Final = re.compile(
    r"(?i)(pass(word|wd|phrase)|secret|token|api[-_.]?key|access[-_.]?key|private[-_.]?key|credential|authorization|cookie)"
)
_REFERENCE: Final = re.compile(r"(?i)(ref|name|names|secrets?|keyref|path|projection|mounts?|count|limit)$")
"""Fields with a telling name that hold a reference or a number: `secretRef`, `tlsSecretName`, `max_tokens`."""
_PLAIN_VARIABLES: Final = re.compile(
    r"^(MODELSERVICE_(OPERATOR|METRICS_ADAPTER)_\w+|HF_ENDPOINT|HF_HOME|HF_HUB_\w+|HOME|TMPDIR|POD_NAME(SPACE)?|\w+_NUM_THREADS|"
    r"CUDA_VISIBLE_DEVICES|NVIDIA_\w+|PYTHON\w*|LD_\w+|PATH|https?_proxy|HTTPS?_PROXY|NO_PROXY|no_proxy)$"
)
"""Environment variables whose values are kept; credentials in an address among them are taken out like any other."""
_SHORTEST: Final = 6
"""Shorter values (`true`, `8`) would take ordinary words out of every text; they are redacted where they stand."""
_DROPPED: Final = ("managedFields",)
_COPIES: Final = ("kubectl.kubernetes.io/last-applied-configuration", "modelservice.dev/verified-template")

_WORD: Final = r"(?i)\b((?:[a-z0-9]+[-_.])*"
_VALUE: Final = r"(?!\[redacted\]|true\b|false\b|null\b|\d{1,6}\b)[^\s\"',;}]{6,}"
_TAKEN: Final = rf"\1{MARK}"
_NAMES: Final = "secret|token|api[-_]?key|access[-_]?key"
_PATTERNS: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", MARK),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+", MARK),
        (r"\b(hf|hf_oauth|sk|pk|ghp|gho|ghs|glpat|xox[abp])[_-][A-Za-z0-9_-]{16,}", MARK),
        (r"\b(AKIA|ASIA)[0-9A-Z]{16}\b", MARK),
        (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", rf"\1 {MARK}"),
        (r"(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)", MARK),
        (
            r"(?i)([?&][^=&\s\"']*(?:token|key|signature|sig|secret|password|credential)[^=&\s\"']*=)[^&\s\"']+",
            _TAKEN,
        ),
        (
            rf"{_WORD}(?:password|passwd|{_NAMES})[\"']?[ \t]*=[ \t]*[\"']?){_VALUE}",
            _TAKEN,
        ),
        (rf"{_WORD}(?:password|passwd)[\"']?:[ \t]*[\"']?){_VALUE}", _TAKEN),
        (rf"{_WORD}(?:{_NAMES})[\"']?:[ \t]*[\"']?)(?=\S*\d|\S{{16}}){_VALUE}", _TAKEN),
    )
)


def find_secrets(body: Any) -> Iterator[str]:
    """The values in an object that stand where a secret would, long enough to be looked for in other texts."""
    for value in _secret_values(body):
        if len(value.strip()) >= _SHORTEST:
            yield value.strip()


def redact_object(body: Any, secrets: Collection[str] = ()) -> Any:
    """A copy of an object without what stands where a secret would, without copies of manifests, its texts redacted."""
    if isinstance(body, str):
        return redact_text(body, secrets)
    if isinstance(body, list | tuple):
        return [MARK if is_secret else redact_object(item, secrets) for item, is_secret in _arguments(body)]
    if not isinstance(body, Mapping):
        return body
    kept = {key: value for key, value in body.items() if key not in (*_DROPPED, *_COPIES)}
    if _is_variable(kept):
        return {**kept, "value": MARK}
    return {
        key: _blank(value) if _is_telling(key, value) else redact_object(value, secrets) for key, value in kept.items()
    }


def redact_text(text: str, secrets: Collection[str]) -> str:
    """A text without the given secrets, as they are and in base64, and without what looks like a secret."""
    for secret in sorted({*secrets, *map(_in_base64, secrets)}, key=len, reverse=True):
        text = text.replace(secret, MARK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _in_base64(secret: str) -> str:
    return base64.b64encode(secret.encode()).decode().rstrip("=")


def _arguments(body: Sequence[Any]) -> Iterator[tuple[Any, bool]]:
    """The items of a list, and whether each is the value of a flag with a telling name before it."""
    before: Any = ""
    for item in body:
        is_flag = isinstance(before, str) and before.startswith("-") and "=" not in before
        yield (
            item,
            is_flag and isinstance(item, str) and bool(_TELLING.search(before)) and not _REFERENCE.search(before),
        )
        before = item


def _secret_values(body: Any) -> Iterator[str]:
    if isinstance(body, list):
        for item, is_secret in _arguments(body):
            yield from [item] if is_secret else _secret_values(item)
    elif isinstance(body, Mapping):
        if _is_variable(body):
            yield str(body["value"])
        for key, value in body.items():
            if _is_telling(key, value):
                yield from _strings(value)
            else:
                yield from _secret_values(value)


def _is_variable(body: Mapping[str, Any]) -> bool:
    """Whether it is a variable, or a header, with a value of its own that is not known to be harmless."""
    named = isinstance(body.get("name"), str) and isinstance(body.get("value"), str)
    return named and bool(body["value"]) and not _PLAIN_VARIABLES.match(body["name"])


def _is_telling(key: str, value: Any) -> bool:
    """Whether a field's name says that its text is secret; references to Secrets are not."""
    is_text = isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
    return is_text and bool(_TELLING.search(key)) and not _REFERENCE.search(key)


def _blank(value: Any) -> Any:
    return [MARK] * len(value) if isinstance(value, list) else MARK


def _strings(value: Any) -> Iterator[str]:
    yield from value if isinstance(value, list) else [value]
