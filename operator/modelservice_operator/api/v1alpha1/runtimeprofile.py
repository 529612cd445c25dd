"""RuntimeProfile: what the owner of a cluster sets once for many ModelServices."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..markers import Cel, Immutable, ServerDefault
from .block import Block, ObjectMeta, PrinterColumn, ResourceKind
from .fields import (
    EnvList,
    ExtendedResource,
    Image,
    LabelKey,
    LabelMap,
    OptionalName,
    Quantity,
    Resources,
    TolerationList,
)
from .server import Server
from .updates import Updates


class ProfileAccelerator(Block):
    """Accelerators that a replica gets unless the ModelService says otherwise."""

    resource: ExtendedResource = "nvidia.com/gpu"
    """Extended resource that a node offers."""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    """How many devices."""
    product_label: LabelKey = "nvidia.com/gpu.product"
    """Node label that spec.accelerator.product of a ModelService is compared with."""
    memory: Quantity | None = None
    """Memory of one device, such as 24Gi. Models whose weights do not fit are then refused before any pod is made."""


class RuntimeProfileSpec(Block):
    """Image, resources and placement that ModelServices of this profile share."""

    RULES = (
        Cel(
            "!has(self.simulated) || !self.simulated || has(self.accelerator)",
            "needs spec.accelerator, the device that is simulated; add it or remove spec.simulated",
            lambda spec: not spec.simulated or spec.has("accelerator"),
            field="simulated",
        ),
        Cel(
            "!has(self.server) || (has(self.image) && self.image != '')",
            "is needed with spec.server, since the operator's default image has no other server; set it",
            lambda spec: not spec.has("server") or spec.image != "",
            field="image",
            reason="FieldValueRequired",
        ),
    )

    image: Image = ""
    """Image of the server; empty means the operator's default runtime. With spec.server models are fetched by the
    default runtime all the same."""
    server: Server | None = None
    """Another server in the image, which speaks the OpenAI protocol; left out means the operator's own runtime."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When the image is pulled; left out means the operator's setting."""
    default: Annotated[bool, ServerDefault(False)] = False
    """Whether ModelServices that name no profile use this one. Mark one profile at most."""
    simulated: Annotated[
        bool,
        ServerDefault(False),
        Immutable(
            "cannot change, because running services would move between an accelerator and the CPU unnoticed; "
            "create another RuntimeProfile"
        ),
    ] = False
    """Whether the CPU may stand in for the accelerator. For tests and demonstrations; a service's status says so."""
    allow_remote_code: Annotated[bool, ServerDefault(False)] = False
    """Whether ModelServices of this profile may run Python code that comes with a model (spec.model.trustRemoteCode).
    Such code can do whatever the server can: read its Secrets and reach what its network reaches."""
    accelerator: ProfileAccelerator | None = None
    """Accelerators of each replica; left out means the CPU."""
    resources: Resources = Resources()
    """Resources of the server container that a ModelService does not set itself."""
    node_selector: LabelMap = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: TolerationList = Field(default_factory=list)
    """Node taints that the pods put up with."""
    runtime_class_name: OptionalName = ""
    """RuntimeClass of the pods, such as nvidia."""
    priority_class_name: OptionalName = ""
    """PriorityClass of the pods."""
    env: EnvList = Field(default_factory=list)
    """Environment variables of the server and of the fetch container; those of a ModelService win."""
    updates: Updates = Updates()
    """When running services take a change of this profile, or of the operator, that replaces their pods."""


class RuntimeProfile(Block):
    """What the owner of a cluster sets once for many ModelServices: image, accelerator, resources and placement."""

    RESOURCE: ClassVar[ResourceKind] = ResourceKind(
        kind="RuntimeProfile",
        plural="runtimeprofiles",
        singular="runtimeprofile",
        scope="Cluster",
        categories=("ai",),
        columns=(
            PrinterColumn("DEFAULT", ".spec.default", "Whether it is the default profile.", type="boolean"),
            PrinterColumn("ACCELERATOR", ".spec.accelerator.resource", "Extended resource of the accelerator."),
            PrinterColumn("SIMULATED", ".spec.simulated", "Whether the CPU stands in for it.", type="boolean"),
            PrinterColumn("AGE", ".metadata.creationTimestamp", "Time since it was created.", type="date"),
            PrinterColumn("IMAGE", ".spec.image", "Image of the runtime.", priority=1),
        ),
    )

    api_version: Literal["modelservice.dev/v1alpha1"] = "modelservice.dev/v1alpha1"
    """Version of the API."""
    kind: Literal["RuntimeProfile"] = "RuntimeProfile"
    """Kind of the object."""
    metadata: ObjectMeta
    """Name and the rest of the standard metadata."""
    spec: RuntimeProfileSpec
    """Image, resources and placement that ModelServices of this profile share."""
