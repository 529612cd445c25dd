"""From an observation to a plan: the chain of pure functions that decides what a ModelService needs, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelservice_operator.api.reasons import Reason
from modelservice_operator.controller.observe import ChildId, Observation
from modelservice_operator.domain import Facts, Observed, Plan, Recorded, SpecError, desired, plan
from modelservice_operator.render import Renderer, TemplateError


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, or why nothing can be decided; exactly one of the two is set."""

    plan: Plan | None
    error: SpecError | None


def decide(seen: Observation, facts: Facts, renderer: Renderer, recorded: Mapping[ChildId, Recorded]) -> Decision:
    """Compare what the spec asks for with what was seen.

    A spec that cannot be carried out decides nothing about the children: what serves goes on serving.
    """
    if seen.service is None or seen.error is not None:
        return Decision(None, seen.error)
    try:
        children = desired(seen.service, seen.profile, facts)
        manifests = [renderer.render(child.template, child.values) for child in children]
    except SpecError as error:
        return Decision(None, error)
    except TemplateError as error:
        return Decision(None, SpecError(Reason.TEMPLATE_ERROR, "spec", str(error)))
    observed = Observed(owner_uid=seen.record.uid, children=seen.children, recorded=recorded)
    return Decision(plan(manifests, observed), None)
