"""The difference between two objects as people want to read it: field by field, without what the API server keeps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelservice_operator.api.names import DESIRED_HASH, VERIFIED_TEMPLATE
from modelservice_operator.domain.compare import merge_key

_BOOKKEEPING: Final = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_NOTES: Final = (DESIRED_HASH, VERIFIED_TEMPLATE, "kubectl.kubernetes.io/last-applied-configuration")
_IDENTITY: Final = ("apiVersion", "kind", "status")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field. `before` is None when it is new, `after` when it goes away."""

    path: str
    before: Any
    after: Any


def changes(before: Any, after: Any) -> tuple[FieldChange, ...]:
    """The fields that differ; of an object that is new (`before` is empty), every field."""
    return tuple(_changes(_readable(before), _readable(after), ""))


def _readable(body: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object says something to its reader."""
    kept = {key: value for key, value in body.items() if key not in _IDENTITY}
    metadata = {key: value for key, value in (body.get("metadata") or {}).items() if key not in _BOOKKEEPING}
    notes = {key: text for key, text in (metadata.pop("annotations", None) or {}).items() if key not in _NOTES}
    owners = [{k: v for k, v in owner.items() if k != "uid"} for owner in metadata.pop("ownerReferences", None) or ()]
    extra = {"annotations": notes, "ownerReferences": owners}
    return kept | {"metadata": {**metadata, **{key: value for key, value in extra.items() if value}}}


def _changes(before: Any, after: Any, path: str) -> Iterator[FieldChange]:
    if before == after:
        return
    if _is_map(before) or _is_map(after):
        yield from _map_changes(before, after, path)
    elif _is_list(before) or _is_list(after):
        yield from _list_changes(before, after, path)
    else:
        yield FieldChange(path, before, after)


def _map_changes(before: Any, after: Any, path: str) -> Iterator[FieldChange]:
    if not (_is_map(before or {}) and _is_map(after or {})) or (not before and not after):
        yield FieldChange(path, before, after)
        return
    old, new = before or {}, after or {}
    for key in dict.fromkeys((*old, *new)):
        yield from _changes(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))


def _list_changes(before: Any, after: Any, path: str) -> Iterator[FieldChange]:
    old, new = before or [], after or []
    key = merge_key(new or old, old) if _is_list(old) and _is_list(new) else None
    if key is None:
        yield FieldChange(path, before, after)
        return
    olds, news = ({item[key]: item for item in items} for items in (old, new))
    for name in dict.fromkeys((*olds, *news)):
        yield from _changes(olds.get(name), news.get(name), f"{path}[{name}]")


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
