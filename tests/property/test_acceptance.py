"""Pydantic and the API server accept the same objects.

The CRD and the operator's types come from one declaration, but a CEL rule and its Python twin, or RE2 and Python's
regular expressions, could still part ways; a real API server is asked about every object that hypothesis makes.
"""

import pytest
from hypothesis import HealthCheck, example, given, settings
from pydantic import ValidationError

from modelservice_operator.api.v1alpha1 import ModelService, RuntimeProfile
from tests.apiserver.rows import EVERYTHING
from tests.property.strategies import manifests

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(180)]

TYPES = {"ModelService": ModelService, "RuntimeProfile": RuntimeProfile}
CHECKED = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)


def refusal(manifest):
    """Why pydantic refuses the object; empty when it accepts it."""
    try:
        TYPES[manifest["kind"]].model_validate(manifest)
    except ValidationError as error:
        return str(error)
    return ""


def assert_same(judge, manifest):
    verdict, reason = judge.create(manifest), refusal(manifest)
    assert verdict.code in (201, 400, 422), verdict.message
    assert verdict.accepted == (not reason), f"API server: {verdict}\npydantic: {reason or 'accepted'}"


@CHECKED
@given(manifest=manifests("ModelService"))
@example(manifest=EVERYTHING)
def test_verdicts_agree_when_a_modelservice_is_created(judge, manifest):
    assert_same(judge, manifest)


@CHECKED
@given(manifest=manifests("RuntimeProfile"))
def test_verdicts_agree_when_a_runtimeprofile_is_created(judge, manifest):
    assert_same(judge, manifest)
