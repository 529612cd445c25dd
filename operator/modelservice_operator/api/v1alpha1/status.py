"""Status of a ModelService, as its CRD describes it.

The operator builds the status as plain data and writes it whole; these types give it its schema. They are lenient when
read, because an older or newer operator may have written what is there.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from ..markers import Atomic, ListMap

Phase = Literal["Pending", "Resolving", "Downloading", "Loading", "Ready", "Degraded", "Suspended", "Failed"]

Word = Annotated[str, Field(max_length=316)]
Line = Annotated[str, Field(max_length=1024)]
Message = Annotated[str, Field(max_length=32768)]
Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})]
BigCount = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]
Seconds = Annotated[float, Field(ge=0)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]


class Report(BaseModel):
    """A part of the status."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class Condition(Report):
    """One aspect of the service; True is the good state."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """Which aspect."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is good."""
    reason: Annotated[str, Field(min_length=1, max_length=256)]
    """Why, in one word that is part of the API."""
    message: Message = ""
    """Why, in a sentence."""
    observed_generation: BigCount = 0
    """Generation of the spec that this is about."""
    last_transition_time: Time
    """When the status last changed."""


class ModelReport(Report):
    """The model that is served."""

    uri: Line = ""
    """Where it came from."""
    resolved_revision: Word = ""
    """Immutable id of the revision that is served."""
    size_bytes: BigCount = 0
    """Size of its files."""
    format: Word = ""
    """Format of its weights."""
    architecture: Word = ""
    """Architecture as its config names it."""
    parameters: BigCount = 0
    """Number of parameters."""
    task: Word = ""
    """Task that it is used for."""
    served_name: Word = ""
    """Name in requests and answers."""
    dtype: Word = ""
    """Number format of the weights in memory."""


class PreflightReport(Report):
    """What the preflight found, from the configuration and the headers of the weights."""

    source: Word = ""
    """Digest of what was asked for: address, revision, files, Secret, and the annotation modelservice.dev/preflight."""
    resolved_revision: Word = ""
    """Immutable id that every replica serves."""
    format: Word = ""
    """Format of its weights."""
    architecture: Word = ""
    """Architecture as its config names it."""
    task: Word = ""
    """Task that follows from it."""
    dtype: Word = ""
    """Number format of the weights as stored."""
    size_bytes: BigCount = 0
    """Size of its weights."""
    parameters: BigCount = 0
    """Number of parameters."""
    max_context: BigCount = 0
    """Longest context that the model was made for."""
    cache_values_per_token: BigCount = 0
    """Numbers that a token of context takes in the KV cache."""
    unknown_architecture: bool = False
    """Whether the runtime's image has no such architecture."""
    needs_remote_code: bool = False
    """Whether its config refers to Python code of its own."""


class AcceleratorReport(Report):
    """The accelerators of each replica."""

    count: Count = 0
    """How many were asked for."""
    resource: Word = ""
    """Extended resource, or the claims, that they come from."""
    simulated: bool = False
    """Whether the CPU stands in for them; only profiles for tests and demonstrations say so."""
    device: Word = ""
    """Device that the server computes on, such as cuda:0 or cpu."""


class Revision(Report):
    """Revisions of the pod template."""

    current: Word = ""
    """The revision that is rolled out."""
    previous: Word = ""
    """The one before."""
    canary: Word = ""
    """The one that is tried as a canary."""
    failed: Word = ""
    """The one that the spec asks for and that was taken back, because it failed."""


class Startup(Report):
    """How long the newest ready pod took to become ready, by step, in seconds."""

    scheduled_seconds: Seconds = 0
    """From its creation to its place on a node."""
    image_pull_seconds: Seconds = 0
    """Pulling images."""
    download_seconds: Seconds = 0
    """Fetching the model."""
    import_seconds: Seconds = 0
    """Importing the engine."""
    load_seconds: Seconds = 0
    """Loading the weights."""
    warmup_seconds: Seconds = 0
    """Warming up."""
    total_seconds: Seconds = 0
    """From its creation to its first ready answer."""


class Start(Startup):
    """How long one pod took to become ready."""

    pod: Word = ""
    """The pod."""
    revision: Word = ""
    """Its revision."""
    created: Time = ""
    """When it was created."""


class LastFailure(Report):
    """The last failure of a pod; it stays after the cause is gone."""

    component: Word = ""
    """preflight, fetch, server, scheduler or kubelet."""
    pod: Word = ""
    """Pod that failed."""
    container: Word = ""
    """Container that failed."""
    reason: Word = ""
    """Why, in one word that is part of the API."""
    exit_code: Annotated[int, Field(json_schema_extra={"format": "int32"})] = 0
    """Exit code of the container."""
    message: Message = ""
    """What happened."""
    hint: Message = ""
    """What to do about it."""
    time: Time = ""
    """When it was seen."""


class DriftedField(Report):
    """A field of a child that somebody else changed and that stays so, by driftPolicy Report."""

    field: Line
    """Where it is in the child."""
    manager: Word = ""
    """Field managers that own it now, such as kubectl-edit; empty when it was removed."""


class Child(Report):
    """An object that the operator owns for this service."""

    kind: Word
    """Its kind."""
    name: Word
    """Its name."""
    state: Word = ""
    """InSync, Pending, Drifted, Conflict, Held, Failed or Unavailable; Held waits for a preflight, or was one."""
    drift: Annotated[list[DriftedField], Field(max_length=16), Atomic()] = []
    """What others changed and driftPolicy Report leaves; the first 16."""


class ModelServiceStatus(Report):
    """What the operator saw last."""

    observed_generation: BigCount = 0
    """Generation of the spec that the status is about."""
    phase: Phase = "Pending"
    """A summary for people; the conditions say more."""
    replicas: Count = 0
    """Pods that exist."""
    ready_replicas: Count = 0
    """Pods that are ready."""
    updated_replicas: Count = 0
    """Pods of the current revision."""
    replicas_summary: Word = ""
    """Ready and wanted replicas, such as 1/2."""
    selector: Line = ""
    """Label selector of the pods, for autoscalers."""
    url: Line = ""
    """Address inside the cluster."""
    profile: Word = ""
    """RuntimeProfile in use; empty without one."""
    model: ModelReport = ModelReport()
    """The model that is served."""
    preflight: PreflightReport = PreflightReport()
    """What the preflight found; kept, so that each source is looked at once."""
    accelerator: AcceleratorReport = AcceleratorReport()
    """The accelerators of each replica."""
    revision: Revision = Revision()
    """Revisions of the pod template."""
    startup: Startup = Startup()
    """How long the newest ready pod took to become ready, by step."""
    startups: Annotated[list[Start], Field(max_length=5), Atomic()] = []
    """The last five starts, newest first; of pods that started together the newest."""
    last_failure: LastFailure = LastFailure()
    """The last failure of a pod; it stays after the cause is gone."""
    children: Annotated[list[Child], Field(max_length=64), Atomic()] = []
    """Objects that the operator owns for this service."""
    conditions: Annotated[list[Condition], Field(max_length=32), ListMap("type")] = []
    """Aspects of the service, each True when good; Ready sums them up."""
