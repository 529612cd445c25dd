"""The `KubeApi` on the official client's transport: its configuration, TLS, token refresh and pool, with raw JSON.

The client's typed models are not used: they are strict pydantic models that refuse what the API server accepts (a
quantity given as a number) and cost several times the memory. The one thing that the operator needs from the library
is a session that is logged in; paths and bodies are plain.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME, load_incluster_config
from kubernetes.aio.config.kube_config import load_kube_config, refresh_token

from modelservice_operator import __version__
from modelservice_operator.api.names import FIELD_MANAGER
from modelservice_operator.kube.api import DEADLINE, PAGE, Body, Page
from modelservice_operator.kube.errors import Unavailable, error_from
from modelservice_operator.kube.resources import POD, Resource

log = logging.getLogger(__name__)

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
NO_VERSION = "1"
"""The version of an empty store, which no object has.

A version in an apply is compared with that of the object, where there is one: with this one an apply can only create.
"""
CONNECT_TIMEOUT = 5.0

Observe = Callable[[str, str, int, float], None]
"""Called after every request with verb, kind, status code (0: no answer) and seconds."""


def _unobserved(verb: str, kind: str, code: int, seconds: float) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server is and how to log in, for those who bring their own transport."""

    server: str
    ca_path: str | None
    certificate_path: str | None
    private_key_path: str | None
    token: str | None
    insecure: bool
    proxy_url: str | None


class Login:
    """Credentials from a kubeconfig, or those of the pod; refreshed in the background where they expire."""

    def __init__(
        self, configuration: Configuration, refresher: "asyncio.Task[None] | None" = None, namespace: str = "default"
    ) -> None:
        _settle_proxy(configuration)
        self._configuration = configuration
        self._refresher = refresher
        self.namespace = namespace
        """The namespace that the kubeconfig's context names, for those who work in one."""

    @classmethod
    async def load(cls, kubeconfig: Path | None, environ: Mapping[str, str], context: str | None = None) -> "Login":
        """Log in with `kubeconfig`, else as the pod, else with the user's default kubeconfig; its `context`, if named.

        Raises ConfigException (of the client library) or OSError when there is nothing usable.
        """
        configuration = Configuration()
        if kubeconfig is None and environ.get(SERVICE_HOST_ENV_NAME):
            load_incluster_config(client_configuration=configuration)
            return cls(configuration)
        path = str(kubeconfig) if kubeconfig else None
        loader = await load_kube_config(
            config_file=path, context=context, client_configuration=configuration, persist_config=False
        )
        namespace = loader.current_context["context"].get("namespace") or "default"
        refresher = asyncio.create_task(refresh_token(loader, configuration), name="token-refresh")
        return cls(configuration, refresher, namespace)

    @property
    def configuration(self) -> Configuration:
        """The client library's own configuration object, shared by every client of this login."""
        return self._configuration

    async def connection(self) -> Connection:
        """The connection as of now, with a fresh token."""
        key = await self._configuration.get_api_key_with_prefix("BearerToken")
        return Connection(
            server=self._configuration.host,
            ca_path=self._configuration.ssl_ca_cert,
            certificate_path=self._configuration.cert_file,
            private_key_path=self._configuration.key_file,
            token=key.split(" ", 1)[-1] if key else None,
            insecure=not self._configuration.verify_ssl,
            proxy_url=self._configuration.proxy,
        )

    def close(self) -> None:
        """Stop refreshing."""
        if self._refresher is not None:
            self._refresher.cancel()


def _settle_proxy(configuration: Configuration) -> None:
    """Look up the environment's proxy once.

    Left to the library, every single request would look for proxies and read `.netrc` in a thread.
    """
    host = urlsplit(configuration.host).hostname or ""
    if configuration.proxy is None and not proxy_bypass(host):
        configuration.proxy = getproxies().get("https")
    configuration.client_session_kwargs = {"trust_env": False}


_LOG_IS_GONE = "unable to retrieve container logs for "


class KubernetesApi:
    """See `kube.api.KubeApi`.

    One instance is one connection pool: the lease has one of its own, so that load cannot starve it. With `dry_run`
    every write is validated and answered by the API server, and stored by none.
    """

    def __init__(
        self, login: Login, observe: Observe = _unobserved, agent: str = FIELD_MANAGER, dry_run: bool = False
    ) -> None:
        self._client = ApiClient(login.configuration)
        self._client.user_agent = f"{agent}/{__version__}"
        self._observe = observe
        self._dry_run = dry_run

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, resource: Resource, namespace: str, name: str, deadline: float = DEADLINE) -> Body:
        """Read one object."""
        return await self._call("get", resource, resource.path(namespace, name), deadline)

    async def list_pages(
        self, resource: Resource, namespace: str = "", limit: int = PAGE, deadline: float = DEADLINE
    ) -> AsyncIterator[Page]:
        """Read every object in pages."""
        query = [("limit", str(limit))]
        if resource.selector:
            query.append(("labelSelector", resource.selector))
        if resource.fields:
            query.append(("fieldSelector", resource.fields))
        token = ""
        while True:
            paged = [*query, ("continue", token)] if token else query
            answer = await self._call("list", resource, resource.path(namespace), deadline, query=paged)
            metadata = answer["metadata"]
            yield Page(answer.get("items") or [], metadata["resourceVersion"])
            token = metadata.get("continue") or ""
            if not token:
                return

    async def apply(
        self, resource: Resource, manifest: Mapping[str, Any], deadline: float = DEADLINE, only_new: bool = False
    ) -> Body:
        """Server-side apply."""
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"])
        if only_new:
            manifest = {**manifest, "metadata": {**metadata, "resourceVersion": NO_VERSION}}
        query = [("fieldManager", FIELD_MANAGER), ("force", "true"), ("fieldValidation", "Strict")]
        return await self._call("apply", resource, path, deadline, query=query, body=manifest, content=APPLY)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, deadline: float = DEADLINE) -> None:
        """Delete one object of that uid."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._call("delete", resource, resource.path(namespace, name), deadline, body=body)

    async def patch_status(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        version: str,
        deadline: float = DEADLINE,
    ) -> Body:
        """Merge-patch the status at that version."""
        path = f"{resource.path(namespace, name)}/status"
        body = {"metadata": {"resourceVersion": version}, "status": patch}
        query = [("fieldManager", FIELD_MANAGER)]
        return await self._call("patch_status", resource, path, deadline, query=query, body=body, content=MERGE)

    async def create(self, resource: Resource, body: Mapping[str, Any], deadline: float = DEADLINE) -> Body:
        """Create one object."""
        path = resource.path(body["metadata"].get("namespace", ""))
        return await self._call("create", resource, path, deadline, body=body)

    async def replace(self, resource: Resource, body: Mapping[str, Any], deadline: float = DEADLINE) -> Body:
        """Replace one object."""
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"])
        return await self._call("replace", resource, path, deadline, body=body)

    async def scale_from_zero(self, resource: Resource, namespace: str, name: str, deadline: float = DEADLINE) -> bool:
        """Scale one object from zero to one."""
        path = f"{resource.path(namespace, name)}/scale"
        scale = await self._call("get", resource, path, deadline)
        if (scale.get("spec") or {}).get("replicas", 0) > 0:
            return False
        body = {"metadata": {"resourceVersion": scale["metadata"]["resourceVersion"]}, "spec": {"replicas": 1}}
        await self._call("patch_scale", resource, path, deadline, body=body, content=MERGE)
        return True

    async def serves(self, resource: Resource, deadline: float = DEADLINE) -> bool:
        """Whether the kind is in the discovery document of its group and version."""
        try:
            answer = await self._call("discover", resource, resource.api_path, deadline)
        except Exception as error:
            if getattr(error, "code", None) == 404:
                return False
            raise
        return any(item.get("kind") == resource.kind for item in answer.get("resources", []))

    async def read_log(
        self, namespace: str, pod: str, container: str, lines: int, previous: bool = False, deadline: float = DEADLINE
    ) -> str:
        """The last lines of a container's log; with `previous` that of its last end.

        Empty when the node has it no more, which a kubelet says as if it were the log.
        """
        path = f"{POD.path(namespace, pod)}/log"
        query = [("container", container), ("tailLines", str(lines)), ("previous", str(previous).lower())]
        said = (await self._ask("log", POD.kind, path, deadline, query=query)).decode(errors="replace")
        return "" if said.startswith(_LOG_IS_GONE) else said

    async def version(self, deadline: float = DEADLINE) -> Body:
        """The API server's version."""
        return _decode(await self._ask("version", "Version", "/version", deadline))

    async def _call(
        self,
        verb: str,
        resource: Resource,
        path: str,
        deadline: float,
        query: list[tuple[str, str]] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> Body:
        return _decode(await self._ask(verb, resource.kind, path, deadline, query, body, content))

    async def _ask(
        self,
        verb: str,
        kind: str,
        path: str,
        deadline: float,
        query: list[tuple[str, str]] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> bytes:
        """Send one request; return what it was answered. Raises ApiError on any answer but success."""
        started, code = time.monotonic(), 0
        if self._dry_run and _METHODS[verb] != "GET":
            query = [*(query or []), ("dryRun", "All")]
        try:
            code, text, retry_after = await self._send(_METHODS[verb], path, deadline, query, body, content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(0, f"no answer to {verb} {kind} ({type(error).__name__}: {error})") from error
        finally:
            self._observe(verb, kind, code, time.monotonic() - started)
        if not 200 <= code < 300:
            raise error_from(code, _decode(text), retry_after)
        return text

    async def _send(
        self,
        method: str,
        path: str,
        deadline: float,
        query: list[tuple[str, str]] | None,
        body: Mapping[str, Any] | None,
        content: str,
    ) -> tuple[int, bytes, str | None]:
        request = await self._client.param_serialize(
            method,
            path,
            query_params=query,
            header_params={"Accept": "application/json, */*", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        timeout = aiohttp.ClientTimeout(total=deadline, sock_connect=min(deadline, CONNECT_TIMEOUT))
        async with asyncio.timeout(deadline):
            response = await self._client.call_api(*request, _request_timeout=timeout)
            return response.status, await response.read(), response.headers.get("Retry-After")


_METHODS = {
    "get": "GET",
    "list": "GET",
    "discover": "GET",
    "log": "GET",
    "version": "GET",
    "apply": "PATCH",
    "patch_status": "PATCH",
    "patch_scale": "PATCH",
    "create": "POST",
    "replace": "PUT",
    "delete": "DELETE",
}


def _decode(text: bytes) -> Body:
    """Decode a JSON object; an answer that is none (a proxy's page) becomes the message of a Status."""
    try:
        answer = json.loads(text)
    except ValueError:
        return {"message": text[:500].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {"message": str(answer)[:500]}
