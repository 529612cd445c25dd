"""Lists of names in settings: the same text as a flag, in a variable and in the file, where they may be lists too."""

import re
from collections.abc import Mapping
from typing import Any, Final

NAME_PATTERN: Final = re.compile(r"[^\s,=]{1,253}")


def split_entries(value: str) -> list[str]:
    """Return the elements of a list that is written with commas between."""
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def write_entry(value: Any) -> str:
    """Write an element of a list as it stands between commas; an adapter may be a mapping with name and path."""
    if isinstance(value, Mapping):
        if set(value) != {"name", "path"}:
            raise ValueError("an adapter is name=folder, or in the file a mapping with name and path")
        value = f"{value['name']}={value['path']}"
    if "," in (text := str(value)):
        raise ValueError("an element of the list holds a comma, which separates elements; rename the folder")
    return text
