"""Types of single fields: bounded strings, names, quantities and the open objects that belong to Kubernetes.

Every string has a greatest length and every list and map a greatest size: the API server computes what its CEL rules
may cost from them. Where a pattern could be missed by an honest mistake, it is a CEL rule with a message that shows the
right form. Quantities have both, because matching a value that may also be a number is too dear for CEL in a map.
"""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from ..markers import Atomic, Cel, IntOrString, ListMap, PreserveUnknown, matches
from ..quantity import MAX_LENGTH as QUANTITY_MAX_LENGTH
from ..quantity import PATTERN as QUANTITY_PATTERN
from ..quantity import is_quantity
from .block import Block, without_nulls

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}([.]{_LABEL})*"
_QUALIFIED: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_PERCENTAGE: Final = "^(100|[1-9]?[0-9])%$"
_NAME_MESSAGE: Final = "must be the name of an object: lower case letters, digits, '-' and '.', such as hub-token"

Text = Annotated[str, Field(max_length=1024)]
LongText = Annotated[str, Field(max_length=32768)]

ObjectName = Annotated[str, Field(min_length=1, max_length=253), matches(f"^{_SUBDOMAIN}$", _NAME_MESSAGE)]
"""The name of a Kubernetes object."""

OptionalName = Annotated[str, Field(max_length=253), matches(f"^({_SUBDOMAIN})?$", _NAME_MESSAGE)]
"""The name of a Kubernetes object; empty is the same as leaving it out."""

HostName = Annotated[
    str,
    Field(max_length=253),
    matches(rf"^(([*][.])?{_SUBDOMAIN})?$", "must be a host name in lower case, such as chat.example.com"),
]

LabelValue = Annotated[
    str,
    Field(max_length=63),
    matches(f"^({_QUALIFIED})?$", "must be a label value: at most 63 letters, digits, '-', '_' and '.'"),
]

LabelKey = Annotated[
    str,
    Field(max_length=316),
    matches(f"^(({_SUBDOMAIN}/)?{_QUALIFIED})?$", "must be the key of a label, such as nvidia.com/gpu.product"),
]

ExtendedResource = Annotated[
    str,
    Field(max_length=253),
    matches(
        f"^({_SUBDOMAIN}/{_QUALIFIED})?$",
        "must be an extended resource with its domain, such as nvidia.com/gpu or amd.com/gpu",
    ),
]

EnvName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    matches("^[-._a-zA-Z][-._a-zA-Z0-9]*$", "must be the name of an environment variable, such as HF_ENDPOINT"),
]

Image = Annotated[
    str,
    Field(max_length=512),
    matches(
        "^([A-Za-z0-9][A-Za-z0-9._/:@-]*)?$", "must be an image reference, such as registry.example.com/runtime:1.2"
    ),
]

Duration = Annotated[
    str,
    Field(max_length=32),
    matches("^([0-9]+(ms|s|m|h))+$", "must be a duration with its unit, such as 30s or 1m"),
]

IntOrPercent = Annotated[
    Annotated[int, Field(ge=0, le=1000000)] | Annotated[str, Field(max_length=4)],
    IntOrString(),
    Cel(
        f"type(self) == int ? self >= 0 && self <= 1000000 : self.matches(r'{_PERCENTAGE}')",
        "must be a number of pods, such as 1, or a percentage from 0% to 100%",
        lambda value: isinstance(value, int) or re.fullmatch(_PERCENTAGE, value) is not None,
    ),
]
"""A number of pods, or a percentage of the replicas such as 25%."""

Quantity = Annotated[
    Annotated[int, Field(ge=0, le=2**53)]
    | Annotated[str, Field(max_length=QUANTITY_MAX_LENGTH, pattern=QUANTITY_PATTERN)],
    IntOrString(),
    Cel(
        "type(self) == int ? self >= 0 && self <= 9007199254740992 : isQuantity(self) && !self.startsWith('-')",
        "must be a quantity that is not negative, such as 2, 500m or 16Gi",
        lambda value: isinstance(value, int) or is_quantity(value),
    ),
]
"""A Kubernetes quantity, such as 2, 500m or 16Gi."""

OpenObject = Annotated[dict[str, Any], PreserveUnknown()]
"""An object whose schema belongs to Kubernetes; the API server checks it when the child is applied."""

DropNulls: Final = BeforeValidator(without_nulls)
"""A key whose value is null is the same as a key that is left out: the API server removes both."""

LabelMap = Annotated[dict[str, LabelValue], Field(max_length=32), DropNulls]
AnnotationMap = Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32), DropNulls]
QuantityMap = Annotated[dict[str, Quantity], Field(max_length=16), DropNulls]


class NameRef(Block):
    """A reference to an object by its name."""

    name: ObjectName
    """Name of the object."""


class Resources(Block):
    """CPU, memory, disk and extended resources of a container."""

    limits: QuantityMap = Field(default_factory=dict)
    """The most that the container may use, such as memory: 16Gi."""
    requests: QuantityMap = Field(default_factory=dict)
    """What the scheduler reserves for the container, such as cpu: 500m."""


class EnvVar(Block):
    """An environment variable."""

    name: EnvName
    """Name of the variable."""
    value: LongText = ""
    """Value of the variable."""
    value_from: OpenObject = Field(default_factory=dict)
    """Source of the value (secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef) as in a pod."""


class OptionalRef(Block):
    """A reference to a ConfigMap or Secret that may be declared optional."""

    name: ObjectName
    """Name of the object."""
    optional: bool = False
    """Whether the pod starts without the object."""


class EnvFrom(Block):
    """A ConfigMap or Secret whose keys become environment variables."""

    prefix: Annotated[str, Field(max_length=253)] = ""
    """Put before each key."""
    config_map_ref: OptionalRef | None = None
    """The ConfigMap."""
    secret_ref: OptionalRef | None = None
    """The Secret, in the same namespace."""


EnvList = Annotated[list[EnvVar], Field(max_length=64), ListMap("name")]
EnvFromList = Annotated[list[EnvFrom], Field(max_length=16), Atomic()]


class Toleration(Block):
    """A node taint that the pods put up with."""

    key: Annotated[str, Field(max_length=316)] = ""
    """Key of the taint; empty with operator Exists tolerates every taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal (the default) or Exists."""
    value: Annotated[str, Field(max_length=63)] = ""
    """Value of the taint, for operator Equal."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """NoSchedule, PreferNoSchedule or NoExecute; empty means every effect."""
    toleration_seconds: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = None
    """How long a pod stays after a NoExecute taint appears, in seconds; left out means for ever."""


TolerationList = Annotated[list[Toleration], Field(max_length=32), Atomic()]
