"""One schema for every setting, and the constants that the operator relies on.

Precedence is flags > environment > file. The file is what the operator writes into the ConfigMap; a variable
`MODELSERVICE_<SECTION>__<KEY>` overrides one key of it, a flag `--<section>-<key>` overrides both. The three are merged
key by key and validated once, as a whole, so that a wrong value is told with the place it came from. Unknown keys are
refused everywhere: a setting that is silently ignored is worse than one that is missing.

The constants repeat `modelservice_operator.api.contract`; the packages share no code, one test holds the two equal.
"""

import os
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from modelservice_runtime.errors import BadSettings, ExitCode
from modelservice_runtime.names import NAME_PATTERN, split_entries, write_entry

__all__ = [
    "ADMIN_PORT",
    "CACHE_DIR",
    "ENV_PREFIX",
    "INFERENCE_PORT",
    "LIVEZ_PATH",
    "METRICS_PATH",
    "MODELS_DIR",
    "READYZ_PATH",
    "RUNTIME_COMMAND",
    "SETTINGS_PATH",
    "STARTUPZ_PATH",
    "STATUS_PATH",
    "ExitCode",
    "Settings",
    "flag_name",
    "load_settings",
    "section_fields",
    "variable_name",
]

INFERENCE_PORT: Final = 8080
ADMIN_PORT: Final = 8081

LIVEZ_PATH: Final = "/livez"
READYZ_PATH: Final = "/readyz"
STARTUPZ_PATH: Final = "/startupz"
METRICS_PATH: Final = "/metrics"
STATUS_PATH: Final = "/status"

MODELS_DIR: Final = "/models"
CACHE_DIR: Final = "/cache"
SETTINGS_PATH: Final = "/etc/modelservice/runtime.yaml"
ENV_PREFIX: Final = "MODELSERVICE_"
RUNTIME_COMMAND: Final = "modelservice-runtime"

ENV_DELIMITER: Final = "__"

Port = Annotated[int, Field(ge=1, le=65535)]
HOST_PATTERN: Final = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
Seconds = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]
Tree = Mapping[str, Mapping[str, Any]]


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
    quantization: Literal["none", "int8", "int4", "fp8"] = Field(
        default="none", description="Quantization at load time."
    )
    max_context: int = Field(default=0, ge=0, description="Longest sequence in tokens; 0: the model's own limit.")
    max_concurrency: int = Field(default=64, ge=1, le=4096, description="Sequences that are decoded at the same time.")
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
    max_batch_tokens: int = Field(default=8192, ge=16, description="Padded tokens in one forward pass.")
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


class Settings(BaseSettings):
    """All settings of the server. Build it with `load_settings`; in tests, directly."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER, extra="forbid", frozen=True, protected_namespaces=()
    )

    model: ModelSection = ModelSection()
    engine: EngineSection = EngineSection()
    accelerator: AcceleratorSection = AcceleratorSection()
    server: ServerSection = ServerSection()
    security: SecuritySection = SecuritySection()
    media: MediaSection = MediaSection()
    lifecycle: LifecycleSection = LifecycleSection()
    limits: LimitsSection = LimitsSection()
    observability: ObservabilitySection = ObservabilitySection()

    @model_validator(mode="after")
    def _ports_differ(self) -> "Settings":
        ports = {"server.port": self.server.port, "server.admin_port": self.server.admin_port}
        if self.server.grpc_port:
            ports["server.grpc_port"] = self.server.grpc_port
        taken: dict[int, str] = {}
        for name, port in ports.items():
            if port in taken:
                raise ValueError(f"{taken[port]} and {name} are both {port}; give one of them another number")
            taken[port] = name
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> "Settings":
        folders = split_entries(self.model.adapters)
        names = [self.served_name, *self.aliases, *(entry.partition("=")[0] for entry in folders)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"model.name, model.aliases and model.adapters name {twice[0]!r} twice; give each a name of its own"
            )
        return self

    @property
    def aliases(self) -> tuple[str, ...]:
        """Further names of the model."""
        return tuple(split_entries(self.model.aliases))

    @property
    def adapters(self) -> dict[str, str]:
        """The folders of the adapters by the names that clients ask for."""
        return {
            name: folder for name, _, folder in (entry.partition("=") for entry in split_entries(self.model.adapters))
        }

    @property
    def served_name(self) -> str:
        """The name that clients use for the model."""
        return self.model.name or Path(self.model.path).name


def load_settings(flags: Tree | None = None, *, file: Path | None = None) -> Settings:
    """Merge flags, environment and file, and validate the result.

    `file` None means the standard path, which may be absent; a file that is named must exist. Raises BadSettings with
    every wrong key, its problem, where its value came from and the way out.
    """
    content = _read_file(file or Path(SETTINGS_PATH), required=file is not None)
    _refuse_unknown_sections(content, os.environ)

    class Merged(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, dict(content))

    try:
        given: dict[str, Any] = {section: dict(keys) for section, keys in (flags or {}).items()}
        return Merged(**given)
    except ValidationError as error:
        origin = partial(_origin, flags=flags or {}, content=content, file=file or Path(SETTINGS_PATH))
        raise BadSettings("; ".join(_explain(item, origin) for item in error.errors())) from None


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not required:
            return {}
        raise BadSettings(
            f"settings file {path} does not exist", hint="name an existing file with --settings"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"settings file {path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise BadSettings(f"settings file {path} is not YAML: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise BadSettings(f"settings file {path} must hold a mapping of sections, not {type(content).__name__}")
    return content


def _refuse_unknown_sections(content: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Refuse what pydantic-settings would pass over: variables of our shape that belong to no section."""
    known = Settings.model_fields
    for variable in sorted(environ):
        section, delimiter, _ = variable.upper().removeprefix(ENV_PREFIX).partition(ENV_DELIMITER)
        if not variable.upper().startswith(ENV_PREFIX) or not delimiter or section.lower() in known:
            continue
        raise BadSettings(f"variable {variable}: there is no section {section.lower()!r}; sections: {', '.join(known)}")


def _origin(section: str, key: str, *, flags: Tree, content: Mapping[str, Any], file: Path) -> str:
    """Name the place that a value came from, in the order of precedence."""
    if key in flags.get(section, {}):
        return f"flag {flag_name(section, key)}"
    variable = variable_name(section, key)
    if variable in (name.upper() for name in os.environ):
        return f"variable {variable}"
    return f"file {file}" if section in content else "defaults"


def _explain(error: ErrorDetails, origin: Callable[[str, str], str]) -> str:
    """Turn one of pydantic's errors into key, problem, value, origin and way out."""
    path = [str(part) for part in error["loc"]]
    if not path:
        return str(error["msg"]).removeprefix("Value error, ")
    place = origin(path[0], path[1] if len(path) > 1 else "")
    name = ".".join(path)
    if error["type"] != "extra_forbidden":
        return f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}, got {error['input']!r} (from {place})"
    known = list(Settings.model_fields)
    if path[0] in known:
        known = list(section_fields(path[0]))
    near = get_close_matches(path[-1], known, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"{name}: unknown key (from {place}); {advice}"


def section_fields(section: str) -> Mapping[str, FieldInfo]:
    """Return the keys of a section with their types, defaults and descriptions."""
    model = Settings.model_fields[section].annotation
    if not (isinstance(model, type) and issubclass(model, Section)):
        raise TypeError(f"{section} is not a section of the settings")
    return model.model_fields


def variable_name(section: str, key: str) -> str:
    """Return the environment variable of a key."""
    return f"{ENV_PREFIX}{section}{ENV_DELIMITER}{key}".upper()


def flag_name(section: str, key: str) -> str:
    """Return the command line flag of a key."""
    return f"--{section}-{key}".replace("_", "-")
