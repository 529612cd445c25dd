"""Describes the model behind an address without bringing its weights."""

from modelservice_runtime.errors import BadSettings
from modelservice_runtime.sources.address import StoreAddress, WebAddress, has_scheme, parse_address
from modelservice_runtime.sources.inspect import ModelCard, inspect_folder
from modelservice_runtime.sources.retry import Retry


def inspect_model(model: str, revision: str, retry: Retry) -> ModelCard:
    """Describe a model by its folder or its address; of a hub and of an object store only headers are read.

    Raises what `inspect_folder` raises, BadSettings for other addresses, and the faults of the source.
    """
    if not has_scheme(model):
        return inspect_folder(model)
    address = parse_address(model)
    if isinstance(address, WebAddress):
        raise BadSettings("https:// models cannot be inspected from afar", hint="fetch the model, inspect the folder")
    if isinstance(address, StoreAddress):
        from modelservice_runtime.sources.store import inspect_store  # noqa: PLC0415

        return inspect_store(address, retry)
    from modelservice_runtime.sources.hub_headers import inspect_repository  # noqa: PLC0415 - loads the hub's client

    return inspect_repository(address, revision, retry)
