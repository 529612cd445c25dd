"""How the model gets into the pod: fetched by an init container, mounted from an image, or mounted from a claim.

The server sees the same read-only folder `/models/<name>` in all three cases.
"""

from dataclasses import dataclass
from typing import Any, Final

from ..api.contract import MODELS_DIR
from ..api.uri import ModelUri
from ..api.v1alpha1 import ModelService

MODEL_VOLUME: Final = "model"

_CREDENTIALS: Final = {"hf": ("HF_TOKEN", "token"), "https": ("HTTP_AUTHORIZATION", "authorization")}
"""Environment variable of the fetch container, and key of the Secret, by scheme. Object stores know many kinds of
credentials, so there every key of the Secret is a variable."""


@dataclass(frozen=True, slots=True)
class Source:
    """The volume that holds the model, how the server mounts it, and what fills it.

    `fetch_args` is empty for a model that is mounted.
    """

    volume: dict[str, Any]
    mount: dict[str, Any]
    fetch_args: tuple[str, ...] = ()
    fetch_env: tuple[dict[str, Any], ...] = ()
    fetch_env_from: tuple[dict[str, Any], ...] = ()


def model_dir(service: ModelService) -> str:
    """The folder in which the server finds the model."""
    return f"{MODELS_DIR}/{service.metadata.name}"


def source_of(service: ModelService, pull_policy: str) -> Source:
    """Decide how the model gets into the pod."""
    uri = ModelUri.parse(service.spec.model.uri)
    mount = {"name": MODEL_VOLUME, "mountPath": model_dir(service), "readOnly": True}
    if uri.scheme == "oci":
        image = {"reference": uri.location, "pullPolicy": pull_policy}
        return Source({"name": MODEL_VOLUME, "image": image}, mount)
    if uri.scheme == "pvc":
        claim = {"claimName": uri.location, "readOnly": True}
        sub_path = {"subPath": uri.path} if uri.path else {}
        return Source({"name": MODEL_VOLUME, "persistentVolumeClaim": claim}, {**mount, **sub_path})
    volume = {"name": MODEL_VOLUME, "emptyDir": {}}
    return Source(volume, mount, _fetch_args(service, uri), _fetch_env(service, uri), _fetch_env_from(service, uri))


def _fetch_args(service: ModelService, uri: ModelUri) -> tuple[str, ...]:
    model = service.spec.model
    plain = f"hf://{uri.location}" if uri.scheme == "hf" else model.uri
    args = ["fetch", _literal(plain), model_dir(service)]
    revision = model.revision or uri.revision
    if revision:
        args.append(f"--revision={_literal(revision)}")
    if model.files is not None:
        args += [f"--include={_literal(pattern)}" for pattern in model.files.include]
        args += [f"--exclude={_literal(pattern)}" for pattern in model.files.exclude]
    return tuple(args)


def _literal(text: str) -> str:
    """Keep the kubelet from expanding `$(NAME)`, which is a legal part of a URL and must not reveal a variable."""
    return text.replace("$(", "$$(")


def _fetch_env(service: ModelService, uri: ModelUri) -> tuple[dict[str, Any], ...]:
    secret = service.spec.model.secret_ref
    if secret is None or uri.scheme not in _CREDENTIALS:
        return ()
    variable, key = _CREDENTIALS[uri.scheme]
    reference = {"name": secret.name, "key": key, "optional": False}
    return ({"name": variable, "valueFrom": {"secretKeyRef": reference}},)


def _fetch_env_from(service: ModelService, uri: ModelUri) -> tuple[dict[str, Any], ...]:
    secret = service.spec.model.secret_ref
    if secret is None or uri.scheme in _CREDENTIALS:
        return ()
    return ({"secretRef": {"name": secret.name, "optional": False}},)
