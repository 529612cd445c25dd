"""What the operator and the runtime agree on.

The runtime states the same values in `modelservice_runtime.config`; one test holds the two equal.
"""

from enum import IntEnum
from typing import Final

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


class ExitCode(IntEnum):
    """Exit codes of `modelservice-runtime`, after BSD sysexits where one fits."""

    DONE = 0
    BAD_SETTINGS = 64
    UNUSABLE_MODEL = 65
    MODEL_NOT_FOUND = 66
    ACCELERATOR_MISSING = 67
    SOURCE_UNAVAILABLE = 69
    DISK_FULL = 71
    NOT_VERIFIED = 76
    NOT_ALLOWED = 77
