"""What a ModelService should be, what it is, and what to do about the difference.

Pure: dicts in, dicts out, no I/O, no clock.
"""

from .desired import desired, missing_kinds
from .errors import SpecError, read_profile, read_service
from .facts import ChildSpec, Facts
from .plan import Apply, ChildState, Delete, NameConflict, Observed, Plan, Recorded, plan, remember
from .project import project

__all__ = [
    "Apply",
    "ChildSpec",
    "ChildState",
    "Delete",
    "Facts",
    "NameConflict",
    "Observed",
    "Plan",
    "Recorded",
    "SpecError",
    "desired",
    "missing_kinds",
    "plan",
    "project",
    "read_profile",
    "read_service",
    "remember",
]
