"""Settings of the activator, given and explained as the operator's are."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from modelservice_operator.api.activator import FIRST_PORT, PORTS
from modelservice_operator.settings import Names


class ActivatorSettings(BaseSettings):
    """Every field is a flag (`--hold-seconds`) and a variable (`MODELSERVICE_ACTIVATOR_HOLD_SECONDS`)."""

    model_config = SettingsConfigDict(env_prefix="MODELSERVICE_ACTIVATOR_", frozen=True, extra="forbid")

    kubeconfig: Path | None = Field(
        None, description="kubeconfig file; default: the pod's account, else the user's file"
    )
    watch_namespaces: Names = Field((), description="namespaces to serve, separated by commas; default: all")
    max_held: int = Field(500, ge=1, le=100000, description="requests of one ModelService that may wait at a time")
    max_held_in_all: int = Field(
        2000, ge=1, le=100000, description="requests of all ModelServices that may wait at a time"
    )
    hold_seconds: float = Field(300, gt=0, le=86400, description="how long a request may wait, in seconds")
    retry_after_seconds: int = Field(10, ge=1, le=86400, description="Retry-After of a refused request, in seconds")
    at_once: int = Field(
        64, ge=1, le=100000, description="requests that one pod is given at a time; the others go on waiting"
    )
    first_port: int = Field(FIRST_PORT, ge=1024, le=65535, description="first of the ports for requests")
    ports: int = Field(PORTS, ge=1, le=20000, description="number of these ports: one for each ModelService")
    listen_port: int = Field(
        8080, ge=1, le=65535, description="port of /healthz, /readyz, /metrics and, for the operator, /activity"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe level to log")
