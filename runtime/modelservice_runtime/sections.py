"""The sections of the settings: every key with its type, default, bounds and description.

A key is added here and nowhere else; flags, variables, the file's schema and the table of the README follow from it.
"""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from modelservice_runtime.contract import ADMIN_PORT, INFERENCE_PORT
from modelservice_runtime.names import NAME_PATTERN, split_entries, write_entry

Port = Annotated[int, Field(ge=1, le=65535)]
HOST_PATTERN: Final = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
Seconds = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]


class Section(BaseModel):
    """A group of keys; frozen, and closed to unknown ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelSection(Section):
    """Which model is served, and under which name."""

    path: str = Field(default="", description="Folder that holds the model in the hub's layout.")
    name: str = Field(default="", max_length=253, description="Name that clients use; empty: the folder's name.")
    uri: str = Field(default="", description="Where the model came from; told by /status only.")
    revision: str = Field(default="", description="Revision that was asked for; told by /status only.")
    task: str = Field(
        default="auto", min_length=1, description="Task to serve; auto: found from the model's config.json."
    )
    trust_remote_code: bool = Field(default=False, description="Run Python code that comes with the model.")
    aliases: str = Field(
        default="", max_length=65536, description="Further names of the model, with commas between, or a list."
    )
    adapters: str = Field(
        default="",
        max_length=65536,
        description="LoRA adapters that clients ask for as models, `name=folder` with commas between, or a list.",
    )

    @field_validator("aliases", "adapters", mode="before")
    @classmethod
    def _join(cls, value: Any) -> Any:
        return ",".join(map(write_entry, value)) if isinstance(value, list | tuple) else value

    @field_validator("aliases")
    @classmethod
    def _aliases_are_names(cls, value: str) -> str:
        names = split_entries(value)
        if not all(NAME_PATTERN.fullmatch(name) for name in names):
            raise ValueError("an alias is a name without spaces, commas and equals signs")
        return ",".join(names)

    @field_validator("adapters")
    @classmethod
    def _adapters_have_folders(cls, value: str) -> str:
        entries = [entry.partition("=") for entry in split_entries(value)]
        if not all(NAME_PATTERN.fullmatch(name.strip()) and folder.strip() for name, _, folder in entries):
            raise ValueError("an adapter is name=folder, or in the file a mapping with name and path")
        return ",".join(f"{name.strip()}={folder.strip()}" for name, _, folder in entries)


class EngineSection(Section):
    """How the model is computed."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Type of the weights; auto: the checkpoint's, or what the device computes fastest."
    )
    quantization: Literal["none", "int8", "int4", "fp8", "bnb-int8", "bnb-nf4"] = Field(
        default="none", description="Quantization of the weights at load time; refused where it cannot be computed."
    )
    max_context: int = Field(default=0, ge=0, description="Longest sequence in tokens; 0: the model's own limit.")
    max_concurrency: int = Field(default=64, ge=1, le=4096, description="Sequences that are decoded at the same time.")
    backend: Literal["slots", "transformers"] = Field(
        default="slots", description="What batches decoders: this runtime, or transformers' continuous batching."
    )
    cuda_graphs: bool = Field(
        default=True, description="Record decode steps as CUDA graphs, on a GPU and without adapters."
    )
    prefix_cache: bool = Field(
        default=True, description="Keep the beginnings of prompts, and compute what follows when they come again."
    )
    compile: bool = Field(default=False, description="Compile the model; slower start, faster steps.")


class AcceleratorSection(Section):
    """What the pod was promised."""

    count: int = Field(
        default=0, ge=0, le=64, description="Accelerators that the container was given; 0: run on the CPU."
    )
    resource: str = Field(default="nvidia.com/gpu", description="Name of the Kubernetes resource; used in messages.")
    simulated: bool = Field(
        default=False, description="The accelerators are make-believe: run on the CPU and say so. For demos and tests."
    )


class ServerSection(Section):
    """Where the two HTTP servers listen."""

    host: str = Field(default="0.0.0.0", min_length=1, description="Address to listen on.")
    port: Port = Field(default=INFERENCE_PORT, description="Port of the inference API.")
    admin_port: Port = Field(default=ADMIN_PORT, description="Port of probes, metrics and status.")
    playground: bool = Field(default=True, description="Serve the pages /playground and /docs.")

    grpc_port: int = Field(default=0, ge=0, le=65535, description="Port of the V2 protocol over gRPC; 0: off.")


class SecuritySection(Section):
    """Who may ask."""

    api_key_file: str = Field(
        default="", description="File, or folder of files, with API keys; empty: everybody may ask."
    )


class MediaSection(Section):
    """Where images and sound may come from."""

    allowed_hosts: str = Field(
        default="",
        max_length=65536,
        description="Hosts, with commas between, of which images and sound are fetched when a request names their URL; "
        "`*.` stands for any name in front; empty: none.",
    )
    fetch_seconds: Seconds = Field(default=5, gt=0, description="Time that fetching one file may take.")

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _join(cls, value: Any) -> Any:
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts_are_names(cls, value: str) -> str:
        hosts = [host.strip().lower() for host in value.split(",") if host.strip()]
        for host in hosts:
            if HOST_PATTERN.fullmatch(host) is None:
                raise ValueError("a host is a name such as images.example.org, *.example.org or example.org:8443")
        return ",".join(hosts)


class LifecycleSection(Section):
    """How the server ends."""

    drain_seconds: Seconds = Field(default=45, description="Time that running requests get after SIGTERM.")


class VerificationSection(Section):
    """A request with a known answer, which the server puts to itself before it is ready."""

    path: str = Field(
        default="",
        max_length=1024,
        pattern=r"^(/[!-~]*)?$",
        description="Path of the request; the server is ready once it is answered; empty: no such request.",
    )
    body: str = Field(default="", max_length=16384, description="JSON body of the request; empty: GET.")
    expect: str = Field(default="", max_length=1024, description="Text that the answer must contain.")
    timeout_seconds: Seconds = Field(default=60, gt=0, description="Time that the answer may take.")


class LimitsSection(Section):
    """Bounds on what one client, and all of them, may ask for."""

    max_body_bytes: int = Field(default=8 << 20, ge=1024, description="Largest request body, in bytes.")
    max_media_body_bytes: int = Field(
        default=32 << 20, ge=1024, description="Largest request body where the task reads images or sound, in bytes."
    )
    max_pixels: int = Field(default=50_000_000, ge=1, le=178_000_000, description="Pixels of one image.")
    max_audio_seconds: Seconds = Field(default=600, description="Length of one recording, in seconds.")
    max_inputs: int = Field(default=256, ge=1, description="Inputs (texts, prompts) in one request.")
    max_new_tokens: int = Field(default=4096, ge=1, description="Tokens that one request may generate.")
    max_steps: int = Field(default=150, ge=1, description="Denoising steps of one generated image.")
    max_drawn_pixels: int = Field(default=1 << 22, ge=64, description="Pixels of one generated image.")
    max_batch_tokens: int = Field(
        default=0, ge=0, description="Padded tokens in one forward pass; 0: what pays on the device, 1024 on a CPU."
    )
    max_batch_size: int = Field(default=64, ge=1, description="Sequences in one forward pass of an encoder.")
    max_queue: int = Field(default=256, ge=1, description="Requests that may wait; the next one is refused.")
    max_connections: int = Field(default=2048, ge=1, description="Open client connections.")
    body_seconds: Seconds = Field(default=15, description="Time that a client has for sending its request body.")
    queue_seconds: Seconds = Field(default=120, description="Time that a request may wait for its turn.")
    request_seconds: Seconds = Field(default=600, description="Time that a request may take in all.")
    keep_alive_seconds: Seconds = Field(default=65, description="Time that an idle connection is kept.")
    hang_seconds: Seconds = Field(
        default=300, description="Silence of the engine after which the process counts as hung."
    )


class ObservabilitySection(Section):
    """What the process tells about itself."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    log_format: Literal["json", "text"] = Field(
        default="json", description="One JSON object a line, or text for people."
    )

    otlp_endpoint: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Address of a collector for traces by OTLP over HTTP, such as http://collector:4318; empty: none.",
    )
    metrics_compat: Literal["vllm", "none"] = Field(
        default="vllm", description="Repeat gauges under the names of vLLM for models that generate."
    )
