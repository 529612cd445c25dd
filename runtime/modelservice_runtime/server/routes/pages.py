"""`/playground` and `/docs`, and the files that they load.

The pages hold no secrets and need no key; what they call does. The content security policy lets them load and reach
this server only, so that nothing that a model writes can call out, whatever it writes.
"""

from functools import cache

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from modelservice_runtime.pages import Asset, read_assets
from modelservice_runtime.server.errors import ApiError

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
# Swagger UI writes style attributes; its scripts are held to the same rule as ours.
DOCS_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
HEADERS = {
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "vary": "accept-encoding",
}


def page_routes() -> APIRouter:
    """Return the endpoints of the pages; they are no part of the API's description."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def root() -> Response:
        """Show the way to the playground."""
        return RedirectResponse("/playground", 307)

    @router.get("/playground")
    async def playground(request: Request) -> Response:
        """Send the page to try the model on."""
        return _send(request, _assets()["playground.html"], POLICY)

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        """Send the page that describes the API."""
        return _send(request, _assets()["docs.html"], DOCS_POLICY)

    @router.get("/static/{name}")
    async def asset(name: str, request: Request) -> Response:
        """Send a file that a page loads."""
        found = _assets().get(name)
        if found is None:
            raise ApiError(404, "there is no such file; the pages are /playground and /docs", code="not_found")
        return _send(request, found, POLICY)

    return router


@cache
def _assets() -> dict[str, Asset]:
    return read_assets()


def _send(request: Request, asset: Asset, policy: str) -> Response:
    headers = {**HEADERS, "content-security-policy": policy, "etag": asset.etag}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.media_type, headers={**headers, "content-encoding": "gzip"})
    return Response(asset.plain(), media_type=asset.media_type, headers=headers)
