"""What a ModelService should be, what it is, and what to do about the difference.

Pure: dicts in, dicts out, no I/O, no clock.
"""

from .cache import claim_named_in
from .canary import settle_revisions
from .desired import desired, missing_kinds
from .diagnose import Diagnosis, diagnose
from .engines import server_of
from .errors import SpecError, read_profile, read_service
from .facts import ChildSpec, Claim, Facts
from .idle import AWAKE, UNKNOWN, Door, Rest, Stillness, idle_seconds, judge_rest
from .ownership import may_have_drifted, report_drift
from .plan import Apply, ChildState, Delete, NameConflict, Observed, Plan, Recorded, plan, remember
from .pods import is_ready, newest_ready
from .preflight import OPEN, Gate, judge_source, kept_children
from .project import project
from .promotion import is_step_over, promotion_looks_in
from .revisions import choose_revision, keeps_revisions, kept_accounts
from .room import looks_for_room
from .schedules import follow_schedules
from .status import compute_status, is_urgent, patience, rejected_status
from .updates import Turn, is_taking, is_unasked, keep_template
from .usage import devices_held, is_before_start, start_seconds
from .world import ApplyResults, Calls, Failure, ObservedState, RuntimeReport, look_at

__all__ = [
    "AWAKE",
    "OPEN",
    "UNKNOWN",
    "Apply",
    "ApplyResults",
    "Calls",
    "ChildSpec",
    "ChildState",
    "Claim",
    "Delete",
    "Diagnosis",
    "Door",
    "Facts",
    "Failure",
    "Gate",
    "NameConflict",
    "Observed",
    "ObservedState",
    "Plan",
    "Recorded",
    "Rest",
    "RuntimeReport",
    "SpecError",
    "Stillness",
    "Turn",
    "choose_revision",
    "claim_named_in",
    "compute_status",
    "desired",
    "devices_held",
    "diagnose",
    "follow_schedules",
    "idle_seconds",
    "is_before_start",
    "is_ready",
    "is_step_over",
    "is_taking",
    "is_unasked",
    "is_urgent",
    "judge_rest",
    "judge_source",
    "keep_template",
    "keeps_revisions",
    "kept_accounts",
    "kept_children",
    "look_at",
    "looks_for_room",
    "may_have_drifted",
    "missing_kinds",
    "newest_ready",
    "patience",
    "plan",
    "project",
    "promotion_looks_in",
    "read_profile",
    "read_service",
    "rejected_status",
    "remember",
    "report_drift",
    "server_of",
    "settle_revisions",
    "start_seconds",
]
