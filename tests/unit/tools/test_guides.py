"""The pages for people follow the reasons and the schema."""

import re
from typing import Any

import pytest
import yaml

from modelservice_operator.api.reasons import DETAILS, GROUPS, Reason
from modelservice_operator.domain.diagnose import BY_EXIT_CODE
from modelservice_operator.tools.drift import repository_root
from modelservice_operator.tools.migration import UnknownField, check_field, render_migration
from modelservice_operator.tools.troubleshooting import render_troubleshooting

GOOD = set(list(Reason)[list(Reason).index(Reason.READY) :])


def _crd() -> dict[str, Any]:
    path = repository_root() / "crds" / "modelservice.dev_modelservices.yaml"
    crd: dict[str, Any] = yaml.safe_load(path.read_text())
    return crd


@pytest.mark.parametrize("reason", sorted(set(Reason) - GOOD))
def test_page_has_cause_and_fix_of_every_reason(reason: Reason) -> None:
    section = re.split(r"^#+ ", render_troubleshooting().partition(f"\n### {reason}\n")[2], maxsplit=1, flags=re.M)[0]
    assert f"**Cause.** {DETAILS[reason].description}\n" in section
    assert f"**Fix.** {DETAILS[reason].hint or 'Nothing to do'}" in section


def test_every_reason_that_is_not_good_has_one_condition() -> None:
    grouped = [reason for _, reasons in GROUPS for reason in reasons]
    assert sorted(grouped) == sorted(set(Reason) - GOOD)


@pytest.mark.parametrize(("code", "reason"), BY_EXIT_CODE.items())
def test_exit_code_leads_to_its_reason(code: int, reason: Reason) -> None:
    assert f"| {int(code)} | [{reason}](#{reason.lower()}) |" in render_troubleshooting()


@pytest.mark.parametrize(
    "field", ["KServe", "storageUri", "scaleTarget", "KubeAI", "resourceProfile", "targetRequests"]
)
def test_page_of_migration_has_their_fields(field: str) -> None:
    assert field in render_migration(_crd())


@pytest.mark.parametrize("path", ["model.url", "model.adapters[].url", "autoscaling.metric", "podTemplates"])
def test_field_that_the_schema_lacks_is_named(path: str) -> None:
    schema = _crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    with pytest.raises(UnknownField, match=re.escape(path)):
        check_field(path, schema)
