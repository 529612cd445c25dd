"""What runs and where: the model, the runtime, its accelerator and its place in the cluster."""

import re
from typing import Annotated, Final, Literal

from pydantic import Field

from ..markers import Atomic, Cel, ListMap, matches
from ..uri import FORMS, REMOTE_SCHEMES, is_model_uri, scheme_of
from ..uri import MAX_LENGTH as URI_MAX_LENGTH
from ..uri import PATTERNS as URI_PATTERNS
from .block import Block
from .fields import (
    EnvFromList,
    EnvList,
    ExtendedResource,
    Image,
    LabelMap,
    LabelValue,
    NameRef,
    ObjectName,
    OpenObject,
    OptionalName,
    Resources,
    Text,
    TolerationList,
)

_COMMIT: Final = "[0-9a-f]{40}"
_PINNED: Final = f"^(hf://[^@]+@{_COMMIT}|oci://.+@sha256:[a-f0-9]{{64}}|https://.+#sha256=[0-9a-f]{{64}})$"
"""Addresses behind which the files cannot change."""

_REMOTE: Final = f"self.uri.matches('^({'|'.join(REMOTE_SCHEMES)})://')"

SERVED_TASKS: Final = frozenset(
    {
        "text-generation", "chat", "text2text-generation", "summarization", "translation", "text-classification",
        "token-classification", "feature-extraction", "rerank", "fill-mask", "question-answering",
        "zero-shot-classification", "image-classification", "zero-shot-image-classification", "object-detection",
        "image-segmentation", "image-to-text", "image-text-to-text", "automatic-speech-recognition",
        "audio-classification", "text-to-image",
    }
)  # fmt: skip
"""The tasks that the runtime has."""

Task = Literal[
    "auto",
    "text-generation",
    "chat",
    "text-classification",
    "token-classification",
    "feature-extraction",
    "rerank",
    "fill-mask",
    "question-answering",
    "zero-shot-classification",
    "text2text-generation",
    "summarization",
    "translation",
    "image-classification",
    "object-detection",
    "image-segmentation",
    "image-to-text",
    "image-text-to-text",
    "zero-shot-image-classification",
    "depth-estimation",
    "audio-classification",
    "automatic-speech-recognition",
    "text-to-speech",
    "text-to-image",
    "image-to-image",
]

ModelUriText = Annotated[
    str,
    Field(min_length=1, max_length=URI_MAX_LENGTH),
    Cel(
        " || ".join(f"self.matches(r'{pattern}')" for pattern in URI_PATTERNS.values()),
        f"must be one of {FORMS}",
        is_model_uri,
    ),
]

ClaimLabel = Annotated[
    str,
    Field(min_length=1, max_length=63),
    matches(
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "must be at most 63 lower case letters, digits and '-', such as gpu",
    ),
]

Glob = Annotated[str, Field(min_length=1, max_length=256)]
GlobList = Annotated[list[Glob], Field(max_length=32), Atomic()]

ServedName = Annotated[
    str,
    Field(max_length=253),
    matches(
        "^([A-Za-z0-9][A-Za-z0-9._:/-]*)?$",
        "must begin with a letter or digit and go on with letters, digits, '.', '_', ':', '/' and '-'",
    ),
]


class Files(Block):
    """Which files of the source are fetched; patterns are shell globs over paths in the source."""

    include: GlobList = Field(default_factory=list)
    """Fetch only what matches one of these patterns; empty means everything that the runtime can use."""
    exclude: GlobList = Field(default_factory=list)
    """Do not fetch what matches one of these patterns."""


class Adapter(Block):
    """A LoRA adapter that is served beside the model."""

    name: ObjectName
    """Name by which requests choose the adapter."""
    uri: ModelUriText
    """Where the adapter comes from, in the forms of spec.model.uri; of https:// an archive. spec.model.secretRef counts
    for adapters with the scheme of the model, and of https:// for those on the model's host."""


AdapterList = Annotated[list[Adapter], Field(max_length=32), ListMap("name")]


class Model(Block):
    """The model and where it comes from."""

    RULES = (
        Cel(
            f"!has(self.secretRef) || {_REMOTE}",
            "is for models that are fetched; remove it: pvc:// needs no credentials, and oci:// takes "
            "spec.security.imagePullSecrets",
            lambda model: not model.has("secretRef") or _is_remote(model),
            field="secretRef",
        ),
        Cel(
            f"!has(self.files) || {_REMOTE}",
            "is for models that are fetched; remove it: pvc:// and oci:// are mounted whole",
            lambda model: not model.has("files") or _is_remote(model),
            field="files",
        ),
        Cel(
            "!has(self.revision) || self.revision == '' || self.uri.startsWith('hf://')",
            "is for hf:// only; remove it, and for oci:// write a tag or digest into spec.model.uri",
            lambda model: model.revision == "" or scheme_of(model.uri) == "hf",
            field="revision",
        ),
        Cel(
            "!has(self.revision) || self.revision == '' || !self.uri.contains('@')",
            "is given twice; keep either spec.model.revision or what follows '@' in spec.model.uri",
            lambda model: model.revision == "" or "@" not in model.uri,
            field="revision",
        ),
        Cel(
            f"!has(self.trustRemoteCode) || !self.trustRemoteCode || self.uri.matches(r'{_PINNED}')"
            f" || (self.uri.startsWith('hf://') && has(self.revision) && self.revision.matches(r'^{_COMMIT}$'))",
            "runs code only from files that cannot change: give spec.model.revision the full commit of an hf:// model, "
            "or use oci:// with @sha256: or an https:// archive with #sha256=; or remove it",
            lambda model: not model.trust_remote_code or _is_pinned(model),
            field="trustRemoteCode",
        ),
    )

    uri: ModelUriText
    """Where the model comes from: hf://org/name[@revision], https://host/path, pvc://claim[/path] or
    oci://registry/name[:tag]. A change rolls out a new revision."""
    revision: Annotated[str, Field(max_length=128)] = ""
    """Branch, tag or commit of an hf:// model; empty means its main branch. The commit that is served stands in
    status.model.resolvedRevision."""
    task: Task = "auto"
    """What the model is used for; auto takes it from the model's own files."""
    served_name: ServedName = ""
    """Name of the model in requests and answers; empty means metadata.name."""
    secret_ref: NameRef | None = None
    """Secret in the same namespace with the credentials of the source: key `token` for hf://, key `authorization` (the
    whole header) for https://; for s3://, gs:// and az:// every key is a variable of the store's own tools, such as
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT_KEY, or
    AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY."""
    files: Files | None = None
    """Which files of the source are fetched."""
    adapters: AdapterList = Field(default_factory=list)
    """LoRA adapters served beside the model, each under its own name; for models that write text."""
    trust_remote_code: bool = False
    """Whether Python code that comes with the model may run, inside the server's container. Only from files that cannot
    change, and only with a RuntimeProfile whose spec.allowRemoteCode is true."""


class Engine(Block):
    """Settings of the inference engine."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the weights; auto takes the model's own where the device is good at it."""
    quantization: Literal["none", "int8", "int4", "fp8", "bnb-int8", "bnb-nf4"] = "none"
    """Lower precision for the weights, made when they are loaded. int4 and fp8 need a GPU; all but int8 on a CPU need
    an image with torchao or bitsandbytes. What the node cannot compute is refused by the server, as UnusableModel."""
    max_context: Annotated[int, Field(ge=0, le=16777216)] = 0
    """Most tokens of a prompt and its answer together; 0 means the model's own limit."""
    max_concurrency: Annotated[int, Field(ge=1, le=4096)] = 64
    """Most requests that are computed at the same time; more wait in the queue."""
    compile: bool = False
    """Whether the model is compiled before it serves; needs an image with a C++ compiler, and a longer start."""


class Runtime(Block):
    """The server that runs the model."""

    profile_ref: NameRef | None = None
    """RuntimeProfile to take image, accelerator and placement from; left out means the one marked default."""
    image: Image = ""
    """Image of the runtime; empty means the profile's, or the operator's default."""
    args: Annotated[list[Text], Field(max_length=64), Atomic()] = Field(default_factory=list)
    """Arguments added to `modelservice-runtime serve`, or to those of the profile's spec.server."""
    env: EnvList = Field(default_factory=list)
    """Environment variables of the server and of the fetch container."""
    env_from: EnvFromList = Field(default_factory=list)
    """ConfigMaps and Secrets whose keys become environment variables."""
    engine: Engine = Engine()
    """Settings of the inference engine."""


class Accelerator(Block):
    """Accelerators of each replica."""

    count: Annotated[int, Field(ge=0, le=64)] = 1
    """How many devices; 0 runs on the CPU whatever the profile says."""
    resource: ExtendedResource = ""
    """Extended resource that a node offers; empty means the profile's, or nvidia.com/gpu."""
    product: LabelValue = ""
    """Model of the device, such as NVIDIA-L4; it becomes a node selector on the profile's product label."""


class ResourceClaim(Block):
    """A claim of dynamic resource allocation: devices for the server that a driver of the cluster hands out."""

    RULES = (
        Cel(
            "has(self.resourceClaimName) != has(self.resourceClaimTemplateName)",
            "name either resourceClaimName, a ResourceClaim that all replicas share, or resourceClaimTemplateName, "
            "from which each replica gets a ResourceClaim of its own",
            lambda claim: claim.has("resourceClaimName") != claim.has("resourceClaimTemplateName"),
        ),
    )

    name: ClaimLabel
    """Name of the claim in the pod."""
    resource_claim_name: ObjectName | None = None
    """ResourceClaim in the same namespace; all replicas share its devices."""
    resource_claim_template_name: ObjectName | None = None
    """ResourceClaimTemplate in the same namespace; each replica gets a ResourceClaim of its own."""


class Scheduling(Block):
    """Where the pods may run. What is said here is added to the profile and wins over it."""

    node_selector: LabelMap = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: TolerationList = Field(default_factory=list)
    """Node taints that the pods put up with."""
    affinity: OpenObject = Field(default_factory=dict)
    """Affinity and anti-affinity as in a pod."""
    topology_spread_constraints: Annotated[list[OpenObject], Field(max_length=8), Atomic()] = Field(
        default_factory=list
    )
    """How replicas are spread over zones or nodes, as in a pod."""
    priority_class_name: OptionalName = ""
    """PriorityClass of the pods."""
    runtime_class_name: OptionalName = ""
    """RuntimeClass of the pods, such as nvidia."""
    scheduler_name: OptionalName = ""
    """Scheduler of the pods; empty means the cluster's default."""
    resource_claims: Annotated[list[ResourceClaim], Field(max_length=8), ListMap("name")] = Field(default_factory=list)
    """Claims of dynamic resource allocation, whose devices the server gets. Without spec.accelerator they take the
    place of the profile's accelerator and count as one device; spec.accelerator is asked for beside them, and its
    count 0 says that they are no accelerators."""


class Loader(Block):
    """How the model gets into the pod."""

    resources: Resources = Resources()
    """Resources of the fetch container."""
    parallelism: Annotated[int, Field(ge=1, le=64)] | None = None
    """How many files of a hub, or parts of files of an object store, are fetched at the same time; left out is 4 and 8.
    A web server is asked for one file after another."""
    startup_budget_seconds: Annotated[int, Field(ge=0, le=86400)] = 0
    """How long the server may take to become ready, in seconds; 0 derives it from the size of the model."""


def _is_pinned(model: Model) -> bool:
    commit = scheme_of(model.uri) == "hf" and re.fullmatch(_COMMIT, model.revision)
    return bool(commit or re.fullmatch(_PINNED, model.uri))


def _is_remote(model: Model) -> bool:
    return scheme_of(model.uri) in REMOTE_SCHEMES
