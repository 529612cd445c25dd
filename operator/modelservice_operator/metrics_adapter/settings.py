"""Settings of the metrics adapter, given and explained as the operator's are."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from modelservice_operator.settings import own_namespace


class AdapterSettings(BaseSettings):
    """Every field is a flag (`--tls-folder`) and a variable (`MODELSERVICE_METRICS_ADAPTER_TLS_FOLDER`)."""

    model_config = SettingsConfigDict(env_prefix="MODELSERVICE_METRICS_ADAPTER_", frozen=True, extra="forbid")

    kubeconfig: Path | None = Field(
        None, description="kubeconfig file; default: the pod's account, else the user's file"
    )
    namespace: str = Field(
        default_factory=own_namespace, description="namespace of its Service; default: POD_NAMESPACE"
    )
    service: str = Field(
        "modelservice-metrics-adapter", min_length=1, description="its Service, as registered with the API server"
    )
    tls_folder: Path = Field(Path("/tls"), description="folder with tls.crt and tls.key")
    port: int = Field(8443, ge=1, le=65535, description="port of the metrics API")
    listen_port: int = Field(8080, ge=1, le=65535, description="port of /healthz, /readyz and /metrics")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe level to log")
