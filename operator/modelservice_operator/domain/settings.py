"""The settings file of the runtime, as the contract lays it down.

It travels in an annotation of the pod template, from which the pod mounts it: so each revision keeps its own settings.
With a ConfigMap, which all revisions share, a pod of the old one that restarts in the middle of a rollout would run
with the settings of the new one.
"""

from typing import Any, Final

import yaml

from ..api.contract import ADMIN_PORT, INFERENCE_PORT
from ..api.v1alpha1 import ModelService
from .adapters import adapter_settings
from .api_keys import keys_settings
from .placement import Placement
from .source import model_dir
from .tracing import tracing_settings
from .verification import verification_settings

_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def runtime_settings(service: ModelService, placement: Placement) -> dict[str, Any]:
    """The settings as the runtime's schema names them; what is left out has the runtime's own default."""
    spec = service.spec
    return {
        "model": {
            "path": model_dir(service),
            "name": served_name(service),
            "uri": spec.model.uri,
            "revision": spec.model.revision,
            "task": spec.model.task,
            "trust_remote_code": spec.model.trust_remote_code,
            **adapter_settings(service, served_name(service)),
        },
        "engine": {
            "dtype": spec.runtime.engine.dtype,
            "quantization": spec.runtime.engine.quantization,
            "max_context": spec.runtime.engine.max_context,
            "max_concurrency": spec.runtime.engine.max_concurrency,
            "compile": spec.runtime.engine.compile,
        },
        "accelerator": {
            "count": placement.count,
            "resource": placement.resource,
            "simulated": placement.simulated,
        },
        "server": {"host": "0.0.0.0", "port": INFERENCE_PORT, "admin_port": ADMIN_PORT},
        "lifecycle": {"drain_seconds": spec.termination.drain_seconds},
        **keys_settings(service),
        **verification_settings(service),
        **tracing_settings(service),
    }


def served_name(service: ModelService) -> str:
    """The name by which requests choose the model."""
    return service.spec.model.served_name or service.metadata.name


def settings_text(settings: dict[str, Any]) -> str:
    """The settings as the YAML file that the runtime reads."""
    return str(yaml.dump(settings, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, default_flow_style=False))
