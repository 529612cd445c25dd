"""modelservice.dev/v1alpha1: the types from which the CRDs are generated and by which the operator reads objects."""

from .modelservice import ModelService, ModelServiceSpec
from .runtimeprofile import RuntimeProfile, RuntimeProfileSpec
from .status import Condition, ModelServiceStatus

__all__ = [
    "Condition",
    "ModelService",
    "ModelServiceSpec",
    "ModelServiceStatus",
    "RuntimeProfile",
    "RuntimeProfileSpec",
]
