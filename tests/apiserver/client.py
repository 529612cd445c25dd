"""A small keep-alive client that asks an API server for its verdict on an object without storing it."""

import base64
import http.client
import json
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

PATHS = {
    "ModelService": "/apis/modelservice.dev/v1alpha1/namespaces/default/modelservices",
    "RuntimeProfile": "/apis/modelservice.dev/v1alpha1/runtimeprofiles",
}


@dataclass(frozen=True)
class Verdict:
    """What the API server said about an object."""

    accepted: bool
    code: int
    message: str


class DryRunClient:
    """Creates objects with dryRun=All over one connection, as strictly as kubectl does."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
            pair.write(_text(user, "client-certificate") + "\n" + _text(user, "client-key"))
            pair.flush()
            context.load_cert_chain(pair.name)
        server = urlsplit(cluster["server"])
        self._connection = http.client.HTTPSConnection(server.hostname or "", server.port, context=context, timeout=30)

    def create(self, manifest: dict[str, Any]) -> Verdict:
        """Ask whether the object would be accepted."""
        path = f"{PATHS[manifest['kind']]}?dryRun=All&fieldValidation=Strict"
        self._connection.request("POST", path, json.dumps(manifest), {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        body = json.loads(response.read())
        return Verdict(response.status == 201, response.status, body.get("message", ""))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _text(section: dict[str, str], key: str) -> str:
    if f"{key}-data" in section:
        return base64.b64decode(section[f"{key}-data"]).decode()
    return Path(section[key]).read_text()
