"""The operator's types give the same verdicts on the validation table as the API server."""

import pytest
from pydantic import ValidationError

from modelservice_operator.api.v1alpha1 import ModelService, RuntimeProfile
from tests.apiserver.rows import INVALID, NOT_YET, VALID

TYPES = {"ModelService": ModelService, "RuntimeProfile": RuntimeProfile}


@pytest.mark.parametrize("row", VALID, ids=lambda row: row.title)
def test_object_is_accepted_when_every_rule_holds(row):
    parsed = TYPES[row.manifest["kind"]].model_validate(row.manifest)

    assert parsed.metadata.name == row.manifest["metadata"]["name"]


@pytest.mark.parametrize("row", [*NOT_YET, *INVALID], ids=lambda row: row.title)
def test_object_is_refused_when_a_rule_is_broken(row):
    with pytest.raises(ValidationError):
        TYPES[row.manifest["kind"]].model_validate(row.manifest)


def test_manifest_comes_back_unchanged_when_read_and_written():
    everything = VALID[1].manifest["spec"]

    assert ModelService.model_validate(VALID[1].manifest).spec.manifest() == everything


def test_refusal_names_field_and_way_out_when_the_feature_does_not_work_yet():
    manifest = next(row.manifest for row in NOT_YET if row.title == "a task")

    with pytest.raises(ValidationError, match=r"model.task: only auto and .* work in this version; set one of them"):
        ModelService.model_validate(manifest)


def test_unset_blocks_have_their_defaults_when_only_the_model_is_given():
    spec = ModelService.model_validate(VALID[0].manifest).spec

    assert spec.replicas is None
    assert spec.accelerator is None
    assert spec.termination.drain_seconds == 45
    assert spec.network.service.port == 80
    assert not spec.has("network.service.port")
