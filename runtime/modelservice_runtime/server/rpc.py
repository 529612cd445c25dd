"""The open inference protocol over gRPC, in the same event loop and behind the same guards as over HTTP.

It is off unless `server.grpc_port` is set: a second port to protect is of no use to most, whose clients speak HTTP.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

import modelservice_runtime
from modelservice_runtime.errors import BadSettings
from modelservice_runtime.observability.journey import Journey, begin_journey
from modelservice_runtime.observability.tracing import Trip
from modelservice_runtime.protocols.grpc import open_inference_pb2 as pb
from modelservice_runtime.protocols.grpc.messages import read_messages, read_parameters_map, write_messages
from modelservice_runtime.protocols.v2.rest import MOST_ELEMENTS
from modelservice_runtime.server.app import body_bytes
from modelservice_runtime.server.errors import ApiError, shape_error, to_api_error
from modelservice_runtime.server.guard import MODEL_KEY
from modelservice_runtime.server.lifecycle import State
from modelservice_runtime.server.service import Service
from modelservice_runtime.server.tensors import EXTENSIONS, VERSION, check_model, describe_model, infer_tensors
from modelservice_runtime.tasks.inputs import InvalidInput

logger = logging.getLogger(__name__)

SERVICE = "inference.GRPCInferenceService"
FREE = ("ServerLive", "ServerReady", "ModelReady")
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
Context = Any
Method = Callable[["_Call", Any], Awaitable[Any]]


class _Call:
    """Implements `Caller`. A client that leaves cancels the coroutine, so `receive` has nothing to tell."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}

    async def receive(self) -> dict[str, Any]:
        """Wait without end."""
        await asyncio.Event().wait()
        return {}


class RpcServer:
    """Serves the six methods of the protocol."""

    def __init__(self, service: Service) -> None:
        self._service = service
        limits = service.settings.limits
        largest = max(limits.max_body_bytes, limits.max_media_body_bytes)
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=limits.max_connections,
            options=[
                ("grpc.max_receive_message_length", largest),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
                ("grpc.max_connection_idle_ms", int(limits.keep_alive_seconds * 1000)),
            ],
        )
        self._server.add_generic_rpc_handlers([self._handlers()])

    async def start(self) -> None:
        """Listen. Raises BadSettings when the port is taken."""
        host, port = self._service.settings.server.host, self._service.settings.server.grpc_port
        try:
            bound = self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except RuntimeError:
            bound = 0
        if bound == 0:
            raise BadSettings(f"server.grpc_port: cannot listen on {host}:{port}", hint="choose a free port")
        await self._server.start()
        logger.info("listening", extra={"host": host, "port": port, "server": "server.grpc_port"})

    async def stop(self, seconds: float) -> None:
        """End; calls in flight have `seconds`."""
        await self._server.stop(seconds)

    def _handlers(self) -> grpc.GenericRpcHandler:
        methods: dict[str, tuple[Method, Any]] = {
            "ServerLive": (self._server_live, pb.ServerLiveRequest),
            "ServerReady": (self._server_ready, pb.ServerReadyRequest),
            "ModelReady": (self._model_ready, pb.ModelReadyRequest),
            "ServerMetadata": (self._server_metadata, pb.ServerMetadataRequest),
            "ModelMetadata": (self._model_metadata, pb.ModelMetadataRequest),
            "ModelInfer": (self._model_infer, pb.ModelInferRequest),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._guarded(name, method),
                request_deserializer=request.FromString,
                response_serializer=lambda answer: answer.SerializeToString(),
            )
            for name, (method, request) in methods.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _guarded(self, name: str, method: Method) -> Callable[[Any, Context], Awaitable[Any]]:
        """Wrap a method with what the guard does for HTTP: keys, sizes, counting, and one form of errors."""

        async def answer(request: Any, context: Context) -> Any:
            call, journey, status = _Call(), begin_journey(), 499
            try:
                journey.caller = self._check(name, request, context)
                result = await method(call, request)
                status = 200
                return result
            except Exception as error:
                translated = to_api_error(error)
                status = translated.status
                await self._refuse(translated, context)
            finally:
                self._report(name, call, status, journey, context)

        return answer

    def _check(self, name: str, request: Any, context: Context) -> str:
        """Return the name of the key. Raises ApiError unless it and the size are right."""
        caller = ""
        if self._service.keys is not None and name not in FREE:
            given = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
            caller = self._service.keys.admit(str(given[0]) if given else "")
        limit = body_bytes(self._service)
        if request.ByteSize() > limit:
            raise ApiError(
                413, f"the request is larger than {limit} bytes; send less, or raise limits.max_body_bytes",
                code="body_too_large", rejected="body_too_large",
            )  # fmt: skip
        return caller

    async def _refuse(self, error: ApiError, context: Context) -> None:
        metrics = self._service.metrics
        if error.rejected:
            metrics.rejected.labels(metrics.model, error.rejected).inc()
        retry = [("retry-after", error.headers["retry-after"])] if "retry-after" in error.headers else []
        message = shape_error("/v2", error.body())["error"]
        await context.abort(CODES.get(error.status, grpc.StatusCode.INTERNAL), message, tuple(retry))

    def _report(self, name: str, call: _Call, status: int, journey: Journey, context: Context) -> None:
        metrics = self._service.metrics
        model = metrics.label_of(call.scope.get(MODEL_KEY, metrics.model))
        endpoint = f"/{SERVICE}/{name}"
        metrics.count(model, endpoint, status, journey)
        given = [value for key, value in context.invocation_metadata() or () if key == "traceparent"]
        traceparent = str(given[0]) if given else ""
        self._service.tracer.report(Trip("POST", endpoint, status, model, metrics.task, traceparent, journey))

    # --- the methods ---

    async def _server_live(self, _call: _Call, _request: Any) -> Any:
        service = self._service
        trouble = service.lifecycle.trouble(service.heartbeat_age(), service.settings.limits.hang_seconds)
        return pb.ServerLiveResponse(live=not trouble)

    async def _server_ready(self, _call: _Call, _request: Any) -> Any:
        return pb.ServerReadyResponse(ready=self._service.lifecycle.state is State.READY)

    async def _model_ready(self, call: _Call, request: Any) -> Any:
        check_model(self._service, call, request.name, request.version)
        return pb.ModelReadyResponse(ready=self._service.lifecycle.state is State.READY)

    async def _server_metadata(self, _call: _Call, _request: Any) -> Any:
        version = getattr(modelservice_runtime, "__version__", "0")
        return pb.ServerMetadataResponse(name="modelservice", version=version, extensions=EXTENSIONS)

    async def _model_metadata(self, call: _Call, request: Any) -> Any:
        name = check_model(self._service, call, request.name, request.version)
        return pb.ModelMetadataResponse(**describe_model(self._service, name))

    async def _model_infer(self, call: _Call, request: Any) -> Any:
        name = check_model(self._service, call, request.model_name, request.model_version)
        if any(wanted.parameters for wanted in request.outputs):
            raise InvalidInput("outputs.parameters", "none is supported; remove them")
        wanted = [output.name for output in request.outputs]
        parameters = read_parameters_map(request.parameters)
        tensors = read_messages(request, MOST_ELEMENTS)
        answers = await infer_tensors(self._service, call, name, tensors, parameters, wanted)
        return write_messages(answers, name, VERSION, request.id)
