"""What the operator relies on: ports, paths, folders and names.

The constants repeat `modelservice_operator.api.contract`; the packages share no code, one test holds the two equal.
"""

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
