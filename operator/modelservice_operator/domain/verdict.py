"""A verdict on one condition: its status, its reason and its message."""

from dataclasses import dataclass
from typing import Literal

from ..api.reasons import DETAILS, Reason

Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition: its status, and why. `is_soft` says that the service works all the same."""

    status: Status
    reason: Reason
    message: str
    is_soft: bool = False


def good(reason: Reason, message: str = "") -> Verdict:
    """True; without a message, with the reason's own words."""
    return Verdict("True", reason, message or DETAILS[reason].description)


def bad(reason: Reason, message: str = "", *, is_soft: bool = False) -> Verdict:
    """False; without a message, with the reason's own words."""
    return Verdict("False", reason, message or DETAILS[reason].description, is_soft)


def unknown(message: str) -> Verdict:
    """Not known yet."""
    return Verdict("Unknown", Reason.PENDING, message)
