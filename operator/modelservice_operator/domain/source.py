"""How the model gets into the pod: fetched by an init container, mounted from an image, or mounted from a claim.

The server sees the same read-only folder `/models/<name>` in all three cases.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from ..api.contract import MODELS_DIR
from ..api.uri import ModelUri
from ..api.v1alpha1 import ModelService

MODEL_VOLUME: Final = "model"
PARALLEL_FLAG: Final = "--parallel="

_CREDENTIALS: Final = {"hf": ("HF_TOKEN", "token"), "https": ("HTTP_AUTHORIZATION", "authorization")}
"""Environment variable of the fetch container, and key of the Secret, by scheme. Object stores know many kinds of
credentials, so there every key of the Secret is a variable."""


@dataclass(frozen=True, slots=True)
class Source:
    """The volume that holds the model, how the server mounts it, and what fills it.

    `fetch_args` is empty for a model that is mounted. `fetch_mount` is how the fetch container mounts the volume.
    """

    volume: dict[str, Any]
    mount: dict[str, Any]
    fetch_args: tuple[str, ...] = ()
    fetch_env: tuple[dict[str, Any], ...] = ()
    fetch_env_from: tuple[dict[str, Any], ...] = ()
    fetch_mount: dict[str, Any] = field(default_factory=dict)


def model_dir(service: ModelService) -> str:
    """The folder in which the server finds the model."""
    return f"{MODELS_DIR}/{service.metadata.name}"


def source_of(service: ModelService, pull_policy: str, resolved: str = "") -> Source:
    """Decide how the model gets into the pod. `resolved` is the revision that a preflight found, if there was one."""
    model = service.spec.model
    uri = ModelUri.parse(model.uri)
    source = placed(uri, MODEL_VOLUME, model_dir(service), pull_policy)
    if not uri.is_remote:
        return source
    args = [*fetch_args(uri, model.uri, model_dir(service), resolved or model.revision), *_file_args(service)]
    env, env_from = credentials(uri, model.secret_ref.name if model.secret_ref else "")
    return replace(source, fetch_args=tuple(args), fetch_env=env, fetch_env_from=env_from)


def parallel_args(service: ModelService) -> tuple[str, ...]:
    """How many transfers the fetch container makes at once, where the spec says it."""
    parallel = service.spec.loader.parallelism
    return () if parallel is None else (f"{PARALLEL_FLAG}{parallel}",)


def inspect_args(service: ModelService) -> tuple[str, ...]:
    """The arguments that describe the model from afar; two tries, since the kubelet makes more."""
    model = service.spec.model
    uri = ModelUri.parse(model.uri)
    _, plain, _, *revision = fetch_args(uri, model.uri, "", model.revision)
    return ("inspect", plain, *revision, *_file_args(service), "--tries=2")


def placed(uri: ModelUri, volume: str, folder: str, pull_policy: str) -> Source:
    """The volume for what is behind a URI, and how the server mounts it; empty at first where it is fetched."""
    mount = {"name": volume, "mountPath": folder, "readOnly": True}
    if uri.scheme == "oci":
        image = {"reference": uri.location, "pullPolicy": pull_policy}
        return Source({"name": volume, "image": image}, mount)
    if uri.scheme == "pvc":
        claim = {"claimName": uri.location, "readOnly": True}
        sub_path = {"subPath": uri.path} if uri.path else {}
        return Source({"name": volume, "persistentVolumeClaim": claim}, {**mount, **sub_path})
    return Source({"name": volume, "emptyDir": {}}, mount, fetch_mount={"name": volume, "mountPath": folder})


def fetch_args(uri: ModelUri, text: str, folder: str, revision: str = "") -> tuple[str, ...]:
    """The arguments that bring what is behind a URI into a folder."""
    plain = f"hf://{uri.location}" if uri.scheme == "hf" else text
    wanted = revision or uri.revision
    return ("fetch", _literal(plain), folder, *([f"--revision={_literal(wanted)}"] if wanted else []))


def credentials(uri: ModelUri, secret: str) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """`env` and `envFrom` entries with the credentials of a Secret; none without one."""
    if not secret:
        return (), ()
    if uri.scheme not in _CREDENTIALS:
        return (), ({"secretRef": {"name": secret, "optional": False}},)
    variable, key = _CREDENTIALS[uri.scheme]
    reference = {"name": secret, "key": key, "optional": False}
    return ({"name": variable, "valueFrom": {"secretKeyRef": reference}},), ()


def _file_args(service: ModelService) -> tuple[str, ...]:
    files = service.spec.model.files
    if files is None:
        return ()
    include = (f"--include={_literal(pattern)}" for pattern in files.include)
    return (*include, *(f"--exclude={_literal(pattern)}" for pattern in files.exclude))


def _literal(text: str) -> str:
    """Keep the kubelet from expanding `$(NAME)`, which is a legal part of a URL and must not reveal a variable."""
    return text.replace("$(", "$$(")
