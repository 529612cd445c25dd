"""Who may ask: the API server alone, which shows the client certificate of its front proxy.

The API server has authenticated and authorised whoever asks before it passes a request on (its aggregation layer is
behind its own RBAC), and names the user in headers. So a request counts when its certificate is signed by the
authority that the API server publishes, has one of the names published beside it, and names a user. Everybody else
fails in the TLS handshake, or is told that it is not authorised.
"""

import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelservice_operator.kube.api import KubeApi
from modelservice_operator.kube.resources import Resource

CONFIG_MAP: Final = Resource("ConfigMap", "", "v1", "configmaps")
PUBLISHED: Final = ("kube-system", "extension-apiserver-authentication")
_PREFIX: Final = "requestheader"


class NotTrusted(Exception):  # noqa: N818
    """The request does not come from the API server; the message says what it lacks."""


class NoFrontProxy(Exception):  # noqa: N818
    """The API server publishes no front proxy, so that nobody could be trusted."""


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """What the API server publishes: the authority (PEM), names of certificates (none: any), headers of the user."""

    authority: str
    names: tuple[str, ...]
    user_headers: tuple[str, ...]

    def user_of(self, certificate: Mapping[str, Any] | None, headers: Mapping[str, str]) -> str:
        """The user who asks. Raises NotTrusted. `certificate` is what `ssl.SSLSocket.getpeercert` returns."""
        name = _common_name(certificate or {})
        if not certificate or (self.names and name not in self.names):
            raise NotTrusted(f"the client certificate {name!r} is not that of the API server's front proxy")
        user = next((headers[header] for header in self.user_headers if headers.get(header)), "")
        if not user:
            raise NotTrusted(f"none of the headers {', '.join(self.user_headers)} names a user")
        return user


async def read_front_proxy(api: KubeApi) -> FrontProxy:
    """Read what is published. Raises ApiError, and NoFrontProxy when the aggregation layer is not set up."""
    body = await api.get(CONFIG_MAP, *PUBLISHED)
    data = body.get("data") or {}
    authority = data.get(f"{_PREFIX}-client-ca-file") or ""
    if not authority:
        raise NoFrontProxy(
            f"ConfigMap {'/'.join(PUBLISHED)} has no {_PREFIX}-client-ca-file; start the API server with "
            f"--{_PREFIX}-client-ca-file and --proxy-client-cert-file"
        )
    names = _texts(data, "allowed-names")
    return FrontProxy(authority, names, _texts(data, "username-headers") or ("X-Remote-User",))


def server_context(proxy: FrontProxy, folder: Path) -> ssl.SSLContext:
    """TLS with the key pair in `folder`, for clients with a certificate of the authority. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=proxy.authority)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


def _texts(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    found = json.loads(data.get(f"{_PREFIX}-{key}") or "[]")
    return tuple(map(str, found))


def _common_name(certificate: Mapping[str, Any]) -> str:
    subject: Sequence[Sequence[tuple[str, str]]] = certificate.get("subject") or ()
    return next((text for part in subject for key, text in part if key == "commonName"), "")
