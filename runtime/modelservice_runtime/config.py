"""One schema for every setting: its sections merged from file, variables and flags.

Precedence is flags > environment > file. The file is what the operator writes into the ConfigMap; a variable
`MODELSERVICE_<SECTION>__<KEY>` overrides one key of it, a flag `--<section>-<key>` overrides both. The three are merged
key by key and validated once, as a whole, so that a wrong value is told with the place it came from. Unknown keys are
refused everywhere: a setting that is silently ignored is worse than one that is missing.

What the operator relies on (`contract.py`) is handed on here, so that others need to know one module.
"""

import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from modelservice_runtime.contract import (
    ADMIN_PORT,
    CACHE_DIR,
    ENV_PREFIX,
    INFERENCE_PORT,
    LIVEZ_PATH,
    METRICS_PATH,
    MODELS_DIR,
    READYZ_PATH,
    RUNTIME_COMMAND,
    SETTINGS_PATH,
    STARTUPZ_PATH,
    STATUS_PATH,
)
from modelservice_runtime.errors import BadSettings, ExitCode
from modelservice_runtime.names import split_entries
from modelservice_runtime.sections import (
    AcceleratorSection,
    EngineSection,
    LifecycleSection,
    LimitsSection,
    MediaSection,
    ModelSection,
    ObservabilitySection,
    Section,
    SecuritySection,
    ServerSection,
    VerificationSection,
)

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

ENV_DELIMITER: Final = "__"

Tree = Mapping[str, Mapping[str, Any]]


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
    verification: VerificationSection = VerificationSection()
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
