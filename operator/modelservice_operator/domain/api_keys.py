"""API keys: a Secret that is mounted in the server's container, whose keys each request must then carry.

The operator never reads the Secret. The volume is optional, so that a Secret that does not exist lets the server start,
find no key and say so: the kubelet tells a missing Secret of a volume by an event only, which can be long in coming and
cannot be told from a slow disk. The server refuses to run without a key, so nobody is let in meanwhile, and it starts
once the Secret is there.
"""

from typing import Any, Final

from ..api.v1alpha1 import ModelService

KEYS_VOLUME: Final = "api-keys"
KEYS_DIR: Final = "/etc/modelservice-keys"
"""Not below the folder of the settings, which is a read-only volume of its own."""

_READABLE: Final = 0o440


def keys_volume(service: ModelService) -> list[dict[str, Any]]:
    """The volume with the keys; none where everybody may ask."""
    secret = service.spec.security.api_key_secret_ref
    if secret is None:
        return []
    source = {"secretName": secret.name, "defaultMode": _READABLE, "optional": True}
    return [{"name": KEYS_VOLUME, "secret": source}]


def keys_mount(service: ModelService) -> list[dict[str, Any]]:
    """How the server mounts the keys."""
    if service.spec.security.api_key_secret_ref is None:
        return []
    return [{"name": KEYS_VOLUME, "mountPath": KEYS_DIR, "readOnly": True}]


def keys_settings(service: ModelService) -> dict[str, Any]:
    """The section of the runtime's settings; none where everybody may ask."""
    return {} if service.spec.security.api_key_secret_ref is None else {"security": {"api_key_file": KEYS_DIR}}


def lacks_keys(message: str) -> bool:
    """Whether the server's last word is that the mounted folder holds no key; a key of a wrong form is not that."""
    return message.startswith(f"security.api_key_file: {KEYS_DIR} ")
