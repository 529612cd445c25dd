"""LoRA adapters: each gets a volume of its own, filled in the same three ways as that of the model."""

from dataclasses import replace
from typing import Any, Final

from ..api.reasons import Reason
from ..api.uri import ModelUri
from ..api.v1alpha1 import ModelService
from .errors import SpecError
from .source import Source, credentials, fetch_args, placed

ADAPTERS_DIR: Final = "/adapters"

_ONE_HOST: Final = ("https",)
"""Schemes whose credentials are for the model's own host, and are shown to no other."""


def adapter_sources(service: ModelService, pull_policy: str) -> tuple[Source, ...]:
    """Decide how each adapter gets into the pod."""
    sources = []
    for number, adapter in enumerate(service.spec.model.adapters, 1):
        uri, folder = ModelUri.parse(adapter.uri), _folder(adapter.name)
        source = placed(uri, f"adapter-{number}", folder, pull_policy)
        if uri.is_remote:
            env, env_from = credentials(uri, _secret_for(service, uri))
            args = fetch_args(uri, adapter.uri, folder)
            source = replace(source, fetch_args=args, fetch_env=env, fetch_env_from=env_from)
        sources.append(source)
    return tuple(sources)


def adapter_settings(service: ModelService, served_name: str) -> dict[str, Any]:
    """The adapters as the runtime's settings name them; none when there are none.

    Raises SpecError for one that has the model's own name, because requests choose among them by name.
    """
    adapters = service.spec.model.adapters
    for position, adapter in enumerate(adapters):
        if adapter.name == served_name:
            raise SpecError(
                Reason.INVALID_SPEC,
                f"spec.model.adapters[{position}].name",
                f"{adapter.name!r} is the name of the model itself; give the adapter another one",
            )
    found = [{"name": adapter.name, "path": _folder(adapter.name)} for adapter in adapters]
    return {"adapters": found} if found else {}


def _folder(name: str) -> str:
    return f"{ADAPTERS_DIR}/{name}"


def _secret_for(service: ModelService, uri: ModelUri) -> str:
    """The model's Secret, where the adapter comes from the same kind of source, and for https from the same host."""
    model = service.spec.model
    home = ModelUri.parse(model.uri)
    if model.secret_ref is None or home.scheme != uri.scheme:
        return ""
    return model.secret_ref.name if uri.scheme not in _ONE_HOST or home.location == uri.location else ""
