"""The operator's settings: frozen, from flags over environment over defaults, validated once.

Every field is a flag (`--watch-namespaces`) and an environment variable (`MODELSERVICE_OPERATOR_WATCH_NAMESPACES`).
"""

import argparse
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from modelservice_operator.api.activator import FIRST_PORT, PORTS

ENV_PREFIX = "MODELSERVICE_OPERATOR_"

_Kind = TypeVar("_Kind", bound=BaseSettings)


class BadSettings(Exception):  # noqa: N818
    """A flag or variable is unknown or has a value that does not fit; the message names each and the way out."""


def own_namespace() -> str:
    """The namespace that the process runs in."""
    return os.environ.get("POD_NAMESPACE") or "default"


def _own_identity() -> str:
    """The pod's name; outside of a pod a name that no other process on the host has."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}-{secrets.token_hex(3)}"


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Names separated by commas."""


class Settings(BaseSettings):
    """Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    kubeconfig: Path | None = Field(
        None, description="kubeconfig file; default: the pod's account, else the user's file"
    )
    namespace: str = Field(default_factory=own_namespace, description="namespace of the Lease; default: POD_NAMESPACE")
    identity: str = Field(default_factory=_own_identity, description="name in the Lease; default: POD_NAME")
    watch_namespaces: Names = Field((), description="namespaces to serve, separated by commas; default: all")
    workers: int = Field(16, ge=1, le=256, description="ModelServices reconciled at the same time")
    default_runtime_image: str = Field(
        "localhost/modelservice-runtime:dev",
        min_length=1,
        description="runtime image where neither spec nor profile has one",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="pull policy of the runtime image"
    )
    prometheus_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="address of the Prometheus that KEDA asks for metrics of model servers; default: none",
    )
    activator_service: str = Field(
        "", description="Service of the activator, in the operator's namespace; default: none is installed"
    )
    activator_first_port: int = Field(
        FIRST_PORT, ge=1024, le=65535, description="first of the activator's ports, as told to the activator"
    )
    activator_ports: int = Field(
        PORTS, ge=1, le=20000, description="number of the activator's ports, as told to the activator"
    )
    listen_port: int = Field(8080, ge=1, le=65535, description="port of /metrics, /healthz and /readyz")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe level to log")
    resync_seconds: float = Field(600, ge=5, description="interval of the complete lists")
    lease_name: str = Field("modelservice-operator", min_length=1, description="name of the Lease")
    lease_duration: float = Field(15, description="time without renewal after which another replica takes over")
    renew_deadline: float = Field(10, description="time without renewal after which the leader stops")
    retry_period: float = Field(2, description="time between renewals")

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _ordered(self) -> "Settings":
        if not self.lease_duration > self.renew_deadline > 2 * self.retry_period > 0:
            raise ValueError("lease_duration must be above renew_deadline, and that above twice retry_period")
        return self


def add_flags(parser: argparse.ArgumentParser, kind: type[BaseSettings] = Settings) -> None:
    """Add one flag for every setting."""
    for name, field in kind.model_fields.items():
        flag = "--" + name.replace("_", "-")
        default = "" if field.default_factory or field.default in (None, ()) else f" (default {field.default})"
        parser.add_argument(flag, dest=name, metavar="VALUE", help=f"{field.description}{default}")


def load_settings(flags: Mapping[str, str | None]) -> Settings:
    """Build the operator's settings from the given flags and the environment. Raises BadSettings."""
    return load(Settings, flags)


def load(kind: type[_Kind], flags: Mapping[str, str | None]) -> _Kind:
    """Build settings from the given flags and the environment. Raises BadSettings."""
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    try:
        return kind(**given)
    except ValidationError as error:
        prefix = str(kind.model_config["env_prefix"])
        raise BadSettings("\n".join(_explain(problem, prefix) for problem in error.errors())) from None


def _explain(problem: Any, prefix: str) -> str:
    where: Sequence[Any] = problem["loc"]
    if not where:
        return str(problem["msg"]).removeprefix("Value error, ")
    name = str(where[0])
    flag, variable = "--" + name.replace("_", "-"), prefix + name.upper()
    return f"{flag} (or {variable}): {problem['msg']}, got {problem['input']!r}"
