"""The open inference protocol without a wire format: what its REST and its gRPC form have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelservice_runtime.protocols.instances import InvalidInstances
from modelservice_runtime.protocols.v2.inputs import describe_inputs, read_inputs
from modelservice_runtime.protocols.v2.outputs import describe_outputs, write_outputs
from modelservice_runtime.protocols.v2.parameters import read_parameters
from modelservice_runtime.protocols.v2.tensors import Tensor
from modelservice_runtime.server.errors import ApiError, explain_invalid
from modelservice_runtime.server.guard import MODEL_KEY
from modelservice_runtime.server.service import Caller, Service
from modelservice_runtime.tasks.inputs import InvalidInput

VERSION = "1"
EXTENSIONS = ["binary_tensor_data", "generate", "parameters"]
PLATFORM = "modelservice_torch"


def check_model(service: Service, caller: Caller, path: str, version: str = "") -> str:
    """Return the name by which the model, or an adapter of it, is asked for.

    Raises ApiError 404 when `path` names another model, or another version.
    """
    served = service.settings.served_name
    name = path if service.serves(path) else path.removesuffix(f"/versions/{VERSION}")
    caller.scope[MODEL_KEY] = name
    if not service.serves(name) or version not in ("", VERSION):
        raise ApiError(
            404, f"there is no such model here; this server serves {served!r}, version {VERSION}",
            code="model_not_found", rejected="invalid",
        )  # fmt: skip
    return name


def describe_model(service: Service, name: str) -> dict[str, Any]:
    """Return the metadata of the served model. Raises ApiError 503 while its task is not known."""
    info = service.info
    if info is None:
        raise ApiError(503, "the model is not ready yet; try again shortly", code="not_ready", rejected="not_ready")
    return {
        "name": name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [
            {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
            for tensor in describe_inputs(info.reads).values()
        ],
        "outputs": [
            {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
            for tensor in describe_outputs(info.gives)
        ],
    }


async def infer_tensors(
    service: Service,
    caller: Caller,
    model: str,
    tensors: Sequence[Tensor],
    parameters: Mapping[str, Any],
    wanted: Sequence[str],
) -> list[Tensor]:
    """Run whatever task is served on tensors. Raises ApiError, InvalidInput, and what `Service.infer` raises."""
    _, info = service.require(caller, model)
    known = [output.name for output in describe_outputs(info.gives)]
    if not set(wanted) <= set(known):
        raise InvalidInput("outputs", f"an output is unknown; this model gives {', '.join(known)}")
    instances = read_inputs(info.reads, tensors)
    try:
        results = await service.infer(caller, model, instances, read_parameters(info.gives, parameters))
    except InvalidInstances as error:
        raise _name_tensor(error) from None
    return write_outputs(info.gives, results, wanted)


def _name_tensor(error: InvalidInstances) -> ApiError:
    """Say which input is wrong, rather than which instance."""
    problems = []
    for problem in error.errors():
        place: tuple[int | str, ...] = problem["loc"]
        if place[:1] == ("instances",) and len(place) > 2:
            place = ("inputs", place[2], place[1], *place[3:])
        problems.append({**problem, "loc": place})
    param, message = explain_invalid(problems)
    return ApiError(400, message, code="invalid_value", param=param, rejected="invalid")
