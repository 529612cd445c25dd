"""Describes the model behind an address without bringing its weights."""

from collections.abc import Sequence
from dataclasses import replace

from modelservice_runtime.sources.address import StoreAddress, WebAddress, has_scheme, parse_address
from modelservice_runtime.sources.inspect import ModelCard, inspect_folder
from modelservice_runtime.sources.known import is_known
from modelservice_runtime.sources.retry import Retry


def inspect_model(
    model: str, revision: str, retry: Retry, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> ModelCard:
    """Describe a model by its folder or its address; of a hub and of an object store only headers are read, of
    a file on a web server nothing but its size.

    The patterns are those of `fetch`, of which the same files are looked at; a folder is described as it is.

    Raises what `inspect_folder` raises, BadSettings for other addresses, and the faults of the source.
    """
    if not has_scheme(model):
        return inspect_folder(model)
    card = _describe(model, revision, retry, include, exclude)
    return replace(card, is_known=is_known(card.model_type))


def _describe(model: str, revision: str, retry: Retry, include: Sequence[str], exclude: Sequence[str]) -> ModelCard:
    address = parse_address(model)
    if isinstance(address, WebAddress):
        from modelservice_runtime.sources.web import inspect_web  # noqa: PLC0415

        return inspect_web(address, retry)
    if isinstance(address, StoreAddress):
        from modelservice_runtime.sources.store import inspect_store  # noqa: PLC0415

        return inspect_store(address, retry, include, exclude)
    from modelservice_runtime.sources.hub_headers import inspect_repository  # noqa: PLC0415 - loads the hub's client

    return inspect_repository(address, revision, retry, include, exclude)
