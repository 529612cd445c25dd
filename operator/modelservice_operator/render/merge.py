"""Strategic merge, as `kubectl patch` does it: what Kubernetes says of the lists of a pod, in one table.

Maps are merged, `null` takes a key away, lists of the table are merged by the key of their items, an item with
`$patch: delete` goes, and every other list is replaced as a whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_MERGE_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
DIRECTIVE: Final = "$patch"


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the patch merged into it; neither is changed."""
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(key, merged.get(key), value)
    return merged


def _merged(key: str, base: Any, patch: Any) -> Any:
    if isinstance(patch, Mapping):
        return merge(base if isinstance(base, Mapping) else {}, patch)
    by = _MERGE_KEYS.get(key)
    if by is not None and isinstance(patch, list) and all(isinstance(item, Mapping) and by in item for item in patch):
        return _merge_items(base if isinstance(base, list) else [], patch, by)
    return patch


def _merge_items(base: Sequence[Any], patch: Sequence[Mapping[str, Any]], by: str) -> list[Any]:
    """The items of the base in their order, then those that are new."""
    items = {item[by]: item for item in base}
    for item in patch:
        if item.get(DIRECTIVE) == "delete":
            items.pop(item[by], None)
        else:
            items[item[by]] = merge(items.get(item[by], {}), item)
    return list(items.values())
