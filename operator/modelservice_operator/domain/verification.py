"""The golden request, which a new revision must answer before it serves.

Our runtime asks itself when it is warm, and is not ready before the answer is as expected; a wrong answer ends it with
an exit code of its own. So nothing has to reach the pod for it, neither through a NetworkPolicy nor with an API key, no
replica serves unverified, whoever starts it, and what is known is in the pod's status, where a restarted operator
finds it. The condition and its reason do not depend on who asks.
"""

from typing import Any

from ..api.v1alpha1 import ModelService


def verification_settings(service: ModelService) -> dict[str, dict[str, Any]]:
    """The section of the runtime's settings; none without a golden request."""
    golden = service.spec.rollout.verification
    if golden is None:
        return {}
    section = {"path": golden.path, "body": golden.body, "expect": golden.expect}
    return {"verification": {**section, "timeout_seconds": golden.timeout_seconds}}
