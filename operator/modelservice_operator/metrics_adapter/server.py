"""The HTTP side: paths of `custom.metrics.k8s.io`, for the API server alone."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web

from modelservice_operator.kube.errors import ApiError
from modelservice_operator.metrics_adapter.protocol import (
    GROUP,
    VERSIONS,
    BadSelector,
    failure,
    read_selector,
    resource_list,
    value_list,
)
from modelservice_operator.metrics_adapter.source import PodMetrics
from modelservice_operator.metrics_adapter.trust import FrontProxy, NotTrusted

log = logging.getLogger(__name__)

EVERY_POD = "*"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(source: PodMetrics, proxy: FrontProxy, refusal: Callable[[], str]) -> web.Application:
    """The application. While `refusal` returns a reason, it answers nothing else."""

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        try:
            proxy.user_of(certificate, request.headers)
        except NotTrusted as error:
            return _failed(401, "Unauthorized", str(error))
        if reason := refusal():
            return _failed(503, "ServiceUnavailable", reason)
        return await handler(request)

    async def show_values(request: web.Request) -> web.Response:
        return await _values(request, source)

    app = web.Application(middlewares=[guard])
    for version in VERSIONS:
        root = f"/apis/{GROUP}/{version}"
        app.router.add_get(root, _show_resources)
        app.router.add_get(f"{root}/namespaces/{{namespace}}/pods/{{pod}}/{{metric}}", show_values)
    return app


async def _show_resources(request: web.Request) -> web.Response:
    return web.json_response(resource_list(_version(request)))


async def _values(request: web.Request, source: PodMetrics) -> web.Response:
    path, query = request.match_info, request.query
    namespace, pod, metric = path["namespace"], path["pod"], path["metric"]
    try:
        labels = read_selector(query.get("metricLabelSelector", ""))
        name = "" if pod == EVERY_POD else pod
        values = await source.values(namespace, query.get("labelSelector", ""), metric, labels, name)
    except BadSelector as error:
        return _failed(400, "BadRequest", str(error))
    except ApiError as error:
        return _failed(error.code or 503, error.reason or "ServiceUnavailable", f"pods cannot be listed: {error}")
    if pod != EVERY_POD and not values:
        return _failed(404, "NotFound", f"pod {namespace}/{pod} tells no {metric}")
    return web.json_response(value_list(_version(request), namespace, metric, values, labels, datetime.now(UTC)))


def _version(request: web.Request) -> str:
    return request.path.split("/")[3]


def _failed(code: int, reason: str, message: str) -> web.Response:
    return web.json_response(failure(code, reason, message), status=code)
