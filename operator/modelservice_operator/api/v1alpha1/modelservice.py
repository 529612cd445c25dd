"""ModelService: one model, served."""

import re
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from .. import names
from ..markers import Cel
from ..uri import scheme_of
from .block import Block, ObjectMeta, PrinterColumn, ResourceKind, Scale
from .fields import OpenObject, Resources
from .notyet import NOT_YET
from .scaling import Autoscaling, Rollout
from .serving import Availability, Cache, Network, Observability, Security, Termination
from .workload import Accelerator, Loader, Model, Runtime, Scheduling

_NAME: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"


class ModelServiceSpec(Block):
    """What is served, on what, and how. Only `model` is needed; a block that is present is on."""

    RULES = (
        Cel(
            "!has(self.replicas) || !has(self.autoscaling)"
            " || (has(self.autoscaling.backend) && self.autoscaling.backend == 'External')",
            "the autoscaler owns the number of replicas; remove spec.replicas or spec.autoscaling",
            lambda spec: (
                not spec.has("replicas") or not spec.has("autoscaling") or spec.autoscaling.backend == "External"
            ),
            field="replicas",
        ),
        Cel(
            "!has(self.cache) || !has(self.cache.strategy) || self.cache.strategy == 'None'"
            " || !self.model.uri.matches('^(pvc|oci)://')",
            "pvc:// and oci:// are mounted and need no cache; remove spec.cache",
            lambda spec: spec.cache.strategy == "None" or scheme_of(spec.model.uri) not in ("pvc", "oci"),
            field="cache.strategy",
        ),
        Cel(
            "!has(self.autoscaling) || !has(self.autoscaling.idle) || !has(self.network)"
            " || !has(self.network.networkPolicy)",
            "cannot go with spec.network.networkPolicy: the activator, which answers while there is no pod, does not "
            "know the policy's peers; remove one of the two",
            lambda spec: spec.get("autoscaling.idle") is None or not spec.has("network.networkPolicy"),
            field="autoscaling.idle",
        ),
        *NOT_YET,
    )

    model: Model
    """The model and where it comes from."""
    runtime: Runtime = Runtime()
    """The server that runs the model."""
    accelerator: Accelerator | None = None
    """Accelerators of each replica; left out means the profile's."""
    resources: Resources = Resources()
    """CPU, memory and disk of the server container; what is left out comes from the profile."""
    scheduling: Scheduling = Scheduling()
    """Where the pods may run."""
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How many pods serve the model; left out means 1. Not with autoscaling, unless its backend is External."""
    autoscaling: Autoscaling | None = None
    """An autoscaler owns the number of replicas."""
    cache: Cache = Cache()
    """A cache of model files that outlives pods."""
    loader: Loader = Loader()
    """How the model gets into the pod."""
    rollout: Rollout = Rollout()
    """How a new revision replaces the old one."""
    termination: Termination = Termination()
    """How a pod ends."""
    network: Network = Network()
    """How the service is reached."""
    security: Security = Security()
    """Identity and credentials of the pods."""
    availability: Availability | None = None
    """A PodDisruptionBudget for the replicas."""
    observability: Observability = Observability()
    """How the service is observed."""
    pod_template: OpenObject | None = None
    """Merged into the pod template last, as a strategic merge patch: sidecars, volumes, annotations, security contexts.
    What the operator owns, such as the server's image, arguments, probes and resources, cannot be overridden."""
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] = 5
    """How many old revisions are kept to go back to."""
    suspend: bool = False
    """Whether all pods are stopped while the ModelService is kept."""
    drift_policy: Literal["Correct", "Report"] = "Correct"
    """What happens when somebody else changes a field of a child that the operator sets: Correct sets it again at once,
    Report leaves it and tells the child, the field and its owner in the condition InSync. With Report missing children
    are still made and changes of the spec are still applied, to all fields that nobody else has taken."""
    deletion_policy: Literal["Delete", "RetainCache"] = "Delete"
    """What happens to cached files when the ModelService is deleted: Delete removes those that no other ModelService
    of the namespace uses, RetainCache keeps them all."""


class ModelService(Block):
    """A model, where it comes from and how it is served; the operator makes the Deployment, Service and the rest."""

    RULES = (
        Cel(
            f"size(self.metadata.name) <= {names.NAME_MAX_LENGTH}",
            f"must have at most {names.NAME_MAX_LENGTH} characters, so that the names of all children "
            "fit; choose a shorter name",
            lambda service: len(service.metadata.name) <= names.NAME_MAX_LENGTH,
            field="metadata.name",
        ),
        Cel(
            f"self.metadata.name.matches('{_NAME}')",
            "must begin with a letter and hold only lower case letters, digits and '-', because it "
            "names the Service; choose another name",
            lambda service: re.fullmatch(_NAME, service.metadata.name) is not None,
            field="metadata.name",
        ),
    )
    RESOURCE: ClassVar[ResourceKind] = ResourceKind(
        kind="ModelService",
        plural="modelservices",
        singular="modelservice",
        scope="Namespaced",
        short_names=("msvc",),
        categories=("all", "ai"),
        columns=(
            PrinterColumn("READY", '.status.conditions[?(@.type=="Ready")].status', "Whether the model answers."),
            PrinterColumn("STATUS", '.status.conditions[?(@.type=="Ready")].reason', "Why it does, or does not."),
            PrinterColumn("REPLICAS", ".status.replicasSummary", "Ready and wanted replicas."),
            PrinterColumn("MODEL", ".spec.model.uri", "Where the model comes from."),
            PrinterColumn("PROFILE", ".status.profile", "The RuntimeProfile in use."),
            PrinterColumn("AGE", ".metadata.creationTimestamp", "Time since it was created.", type="date"),
            PrinterColumn("URL", ".status.url", "Address inside the cluster.", priority=1),
            PrinterColumn("REVISION", ".status.revision.current", "The revision that is rolled out.", priority=1),
        ),
        scale=Scale(".spec.replicas", ".status.replicas", ".status.selector"),
    )

    api_version: Literal["modelservice.dev/v1alpha1"] = "modelservice.dev/v1alpha1"
    """Version of the API."""
    kind: Literal["ModelService"] = "ModelService"
    """Kind of the object."""
    metadata: ObjectMeta
    """Name, namespace and the rest of the standard metadata."""
    spec: ModelServiceSpec
    """What is served, on what, and how."""
    status: OpenObject = Field(default_factory=dict)
    """What the operator saw last, in the shape of `ModelServiceStatus`."""
