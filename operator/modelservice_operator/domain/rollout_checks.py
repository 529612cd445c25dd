"""The conditions of a rollout: is the new revision the right one, does it get on, or was it taken back?"""

from ..api.reasons import DETAILS, ConditionType, Reason
from .promotion import describe_stage, stage_of, weight_of
from .revisions import TakenBack, taken_back, verified_template
from .room import is_replacing
from .tree import number, text
from .updates import Newer, newer_template, what_lets_it_go
from .verdict import Verdict, bad, good, unknown
from .world import World


def has_verdict(world: World) -> bool:
    """Whether there is anything to say about a golden request."""
    asked = world.service.spec.rollout.verification is not None
    return asked or world.failure_for(ConditionType.VERIFIED) is not None or _is_refuted(world)


def verified(world: World) -> Verdict:
    """Whether the golden request is answered as expected."""
    if failure := world.failure_for(ConditionType.VERIFIED):
        return bad(failure[1].reason, failure[1].message)
    if _is_refuted(world) and (back := taken_back(world.deployment)):
        return bad(Reason.GOLDEN_REQUEST_FAILED, _told_of(back))
    if world.wanted == 0:
        return unknown("No replica is asked for")
    if world.pods.ready:
        return good(Reason.VERIFIED)
    return unknown("The golden request is asked when the server is warm")


def _is_refuted(world: World) -> bool:
    """Whether a revision was taken back for its answer to the golden request."""
    back = taken_back(world.deployment)
    return back is not None and back.reason == Reason.GOLDEN_REQUEST_FAILED


def progressing(world: World) -> Verdict:
    """Whether the rollout gets on, or has ended well."""
    if back := taken_back(world.deployment):
        return bad(Reason.ROLLED_BACK, _told_of(back))
    if world.has_missed_deadline:
        return bad(Reason.DEADLINE_EXCEEDED, _without_way_back(world))
    failure = world.failure_for(ConditionType.SCHEDULED)
    serves = world.pods.earlier_ready or (world.canary and world.pods.ready)
    if failure is not None and serves and not is_replacing(world):
        return bad(Reason.ROLLOUT_BLOCKED, f"The new revision cannot be placed: {failure[1].message}")
    if not world.deployment:
        return unknown("The Deployment does not exist yet")
    if _is_rolling(world):
        return good(Reason.ROLLING_OUT)
    if world.canary:
        return good(Reason.CANARY_SERVING, _canary_share(world))
    if newer := newer_template(world.deployment):
        return good(Reason.NEW_TEMPLATE_AVAILABLE, _told_of_newer(world, newer))
    return good(Reason.ROLLOUT_COMPLETE)


def _canary_share(world: World) -> str:
    """How much the canary gets, as far as the operator decides it."""
    ready = world.canary_pods.ready
    has_route = world.service.spec.network.http_route is not None
    share = weight_of(world.service, stage_of(world.canary)) if has_route else 0
    what = f"{share}% of the requests" if share else f"{ready} of {ready + world.pods.ready} replicas"
    name = f"{text(world.canary, 'metadata', 'name')}-{world.canary_pods.revision}"
    return f"The canary {name} serves {what}; {describe_stage(world.service, world.canary)}"


def _told_of_newer(world: World, newer: Newer) -> str:
    what = f"a newer pod template, which differs in {newer.differing}" if newer.fields else "a newer pod template"
    return f"The operator or the RuntimeProfile has {what}; {what_lets_it_go(world, newer)}"


def _told_of(back: TakenBack) -> str:
    who = f"Revision {back.name}" if back.name else "The revision that the spec asks for"
    return f"{who} was taken back and the last one that served runs: {back.reason}: {back.message}"


def _without_way_back(world: World) -> str:
    """What to add to the reason when there should be a way back and is none; empty for the usual words."""
    if not world.service.spec.rollout.auto_rollback or verified_template(world.deployment):
        return ""
    return f"{DETAILS[Reason.DEADLINE_EXCEEDED].description} No revision that served is known to go back to"


def _is_rolling(world: World) -> bool:
    if not world.is_deployment_current:
        return True
    total, updated, available = (
        number(world.deployment, "status", key) for key in ("replicas", "updatedReplicas", "availableReplicas")
    )
    is_tried = bool(world.canary) and not world.canary_serving
    return is_tried or updated < world.own or total > updated or available < min(updated, world.needed)
