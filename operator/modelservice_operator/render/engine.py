"""The template engine, and the checks that hold what comes out of it to what was asked for.

A template can only make the kind that its name says, in the namespace of its owner: a value that broke out of its place
would have to pass these checks too.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

import jinja2
import yaml

from ..api.kinds import CHILD_KINDS, DEPLOYMENT, ChildKind
from ..api.names import DESIRED_HASH, REVISION
from .errors import TemplateError
from .merge import merge
from .scalars import to_json

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C reads the same YAML about ten times faster; PyYAML may be built without it."""

_BY_TEMPLATE: Final[dict[str, ChildKind]] = {f"{kind.kind.lower()}.yaml.j2": kind for kind in CHILD_KINDS}


REVISION_LENGTH: Final = 10


class _PackageLoader(jinja2.BaseLoader):
    """Reads templates from the package, from a zip file too."""

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, None, None]:
        file = resources.files(__package__) / "templates" / template
        if not file.is_file():
            raise jinja2.TemplateNotFound(template)
        return file.read_text(encoding="utf-8"), None, None


class Renderer:
    """Renders manifests. Templates are compiled once, and one renderer serves for ever."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=_PackageLoader(),
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # noqa: S701 - what is written is YAML, and every value goes through tojson
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        self._environment.filters["tojson"] = to_json

    def render(self, template: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Fill a template and return the manifest, with the hash of itself as an annotation.

        Raises TemplateError when a value is missing or of a kind that YAML cannot hold, and when the result is not the
        kind, or not in the namespace, that it should be.
        """
        kind = _BY_TEMPLATE.get(template)
        if kind is None:
            raise TemplateError(template, "no such template")
        try:
            text = self._environment.get_template(template).render(**values)
            manifest = yaml.load(text, Loader=_LOADER)  # noqa: S506 - the loader is a safe one
        except (jinja2.TemplateError, yaml.YAMLError, TypeError, ValueError) as error:
            raise TemplateError(template, str(error)) from error
        _check(template, kind, manifest, values)
        if values.get("pod_template"):
            manifest["spec"]["template"] = merge(manifest["spec"]["template"], values["pod_template"])
        if kind is DEPLOYMENT:
            pods = manifest["spec"]["template"]
            pods["metadata"]["labels"][REVISION] = _digest(pods)[:REVISION_LENGTH]
        return stamp(manifest)


def stamp(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the hash of itself as an annotation, instead of the one that it may have had."""
    metadata = manifest["metadata"]
    annotations = {key: text for key, text in metadata.get("annotations", {}).items() if key != DESIRED_HASH}
    bare = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    return {**bare, "metadata": {**metadata, "annotations": {**annotations, DESIRED_HASH: _digest(bare)}}}


def _check(template: str, kind: ChildKind, manifest: Any, values: Mapping[str, Any]) -> None:
    if not isinstance(manifest, dict) or not isinstance(manifest.get("metadata"), dict):
        raise TemplateError(template, "the result is not an object with metadata")
    asked = values["metadata"]
    expected = {
        "apiVersion": (manifest.get("apiVersion"), kind.api_version),
        "kind": (manifest.get("kind"), kind.kind),
        "metadata.name": (manifest["metadata"].get("name"), asked["name"]),
        "metadata.namespace": (manifest["metadata"].get("namespace"), asked["namespace"]),
    }
    for field, (found, wanted) in expected.items():
        if found != wanted:
            raise TemplateError(template, f"is {found!r} and must be {wanted!r}", field)


def _digest(manifest: Mapping[str, Any]) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
