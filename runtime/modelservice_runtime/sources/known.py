"""Tells whether the installed transformers has an architecture, without importing it.

The import takes seconds and brings torch along, which is too much for looking at a model; the library's own table of
model types is a text.
"""

from importlib.util import find_spec
from pathlib import Path

TABLES = ("models/auto/auto_mappings.py", "models/auto/configuration_auto.py")


def is_known(model_type: str) -> bool | None:
    """Return whether a `model_type` of a config.json stands in the library's tables; None when that cannot be told."""
    spec = find_spec("transformers")
    places = spec.submodule_search_locations if spec else None
    if not model_type or not places:
        return None
    tables = [Path(place) / table for place in places for table in TABLES]
    texts = [table.read_text(encoding="utf-8") for table in tables if table.is_file()]
    return any(f'"{model_type}"' in text for text in texts) if texts else None
