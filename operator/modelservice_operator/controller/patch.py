"""The smallest JSON merge patch (RFC 7386) that turns one document into another."""

from collections.abc import Mapping
from typing import Any


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the patch from `old` to `new`; empty when they are equal.

    Lists are replaced whole. A null in `new` means that the field is absent, which is all that a merge patch can say.
    """
    wanted = {key: value for key, value in new.items() if value is not None}
    patch: dict[str, Any] = {key: None for key, value in old.items() if key not in wanted and value is not None}
    for key, value in wanted.items():
        known = old.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            if changed := merge_patch(known, value):
                patch[key] = changed
        elif known != value:
            patch[key] = value
    return patch
