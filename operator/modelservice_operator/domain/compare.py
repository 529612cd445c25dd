"""Whether a live object has everything that a manifest asks for.

The API server adds defaults, other controllers add fields and items of their own, and quantities come back in another
spelling; none of that is a difference. What a manifest asks for and the object has not, is. The rules for lists follow
those of server-side apply: items that are told apart by a key are compared by it and may have company; all other lists
belong to one writer and are compared whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..api.quantity import canonical_quantity

MERGE_KEYS: Final = ("uid", "name", "mountPath", "topologyKey", "containerPort", "ip")
"""Keys that tell items of a list apart, in the order in which they are tried."""

_QUANTITY_PARENTS: Final = ("limits", "requests")
_QUANTITY_KEYS: Final = ("sizeLimit", "averageValue")

_ABSENT: Final = object()
_SCALARS: Final = (str, int, float, type(None))
"""Asked for first, and by their types: most values are scalars, and abstract types are slow to ask for."""


def differences(wanted: Any, live: Any, path: str = "") -> Iterator[str]:
    """Yield the paths, such as `spec.template.spec.containers[server].image`, that are wanted and not so in `live`."""
    if isinstance(wanted, _SCALARS):
        if not _is_same(wanted, live, path):
            yield path
    elif isinstance(wanted, Mapping):
        yield from _map_differences(wanted, live, path)
    else:
        yield from _list_differences(wanted, live, path)


def pick(wanted: Any, live: Any) -> Any:
    """The part of `live` that a manifest of the shape of `wanted` speaks about; absent parts are None."""
    if isinstance(wanted, Mapping):
        source = live if isinstance(live, Mapping) else {}
        return {key: pick(value, source.get(key)) for key, value in wanted.items()}
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        items = live if isinstance(live, list) else []
        key = merge_key(wanted, items)
        if key is None:
            return items
        found = {item[key]: item for item in items}
        return [pick(item, found.get(item[key])) for item in wanted]
    return live


def _map_differences(wanted: Mapping[str, Any], live: Any, path: str) -> Iterator[str]:
    if not isinstance(live, Mapping):
        if wanted or live is None:
            yield path
        return
    for key, value in wanted.items():
        found = live.get(key, _ABSENT)
        if found is value or (isinstance(value, str) and value == found):
            continue
        below = f"{path}.{key}" if path else str(key)
        if found is _ABSENT:
            if value not in ("", None):
                yield below
            continue
        yield from differences(value, found, below)


def _list_differences(wanted: Sequence[Any], live: Any, path: str) -> Iterator[str]:
    if not isinstance(live, list):
        if wanted or live is not None:
            yield path
        return
    key = merge_key(wanted, live)
    if key is not None:
        found = {item[key]: item for item in live}
        for item in wanted:
            name = item[key]
            if name in found:
                yield from differences(item, found[name], f"{path}[{name}]")
            else:
                yield f"{path}[{name}]"
        return
    if len(wanted) != len(live):
        yield path
        return
    for position, (item, other) in enumerate(zip(wanted, live, strict=True)):
        yield from differences(item, other, f"{path}[{position}]")


def merge_key(wanted: Sequence[Any], live: Sequence[Any]) -> str | None:
    """The key that every item of both lists has, and by which no two items of one list are the same."""
    if not wanted or not all(isinstance(item, dict) for item in (*wanted, *live)):
        return None
    for key in MERGE_KEYS:
        if all(_has_key(items, key) for items in (wanted, live)):
            return key
    return None


def _has_key(items: Sequence[Mapping[str, Any]], key: str) -> bool:
    values = [item.get(key) for item in items]
    return all(isinstance(value, str | int) for value in values) and len(set(values)) == len(values)


def _is_same(wanted: Any, live: Any, path: str) -> bool:
    if wanted == live and isinstance(wanted, bool) == isinstance(live, bool):
        return True
    if not _is_quantity_path(path) or isinstance(wanted, bool) or isinstance(live, bool):
        return False
    if not (isinstance(wanted, str | int) and isinstance(live, str | int)):
        return False
    try:
        return canonical_quantity(wanted) == canonical_quantity(live)
    except ValueError:
        return False


def _is_quantity_path(path: str) -> bool:
    words = path.split(".")
    return any(word in _QUANTITY_PARENTS for word in words[:-1]) or words[-1] in _QUANTITY_KEYS
