"""How a forecast is told, to people and to programs."""

import click
import pytest

from modelservice_operator.api.reasons import Reason
from modelservice_operator.cli.__main__ import run
from modelservice_operator.cli.changes import FieldChange
from modelservice_operator.cli.forecast import ChildForecast, Forecast, Restart
from modelservice_operator.cli.plan import as_document, as_lines, exit_status
from modelservice_operator.domain import SpecError

IMAGE = FieldChange("spec.template.spec.containers[server].image", "server:1", "server:2")
CHANGED = ChildForecast("Deployment", "chat", "change", (IMAGE,))
NOTHING = Forecast("team", "chat")
RESTARTING = Forecast("team", "chat", (CHANGED,), Restart(2, "RollingUpdate", (IMAGE.path,)))
CONFLICTING = Forecast("team", "chat", conflicts=("Service chat exists",))
REFUSED = Forecast("team", "chat", (ChildForecast("Service", "chat", "create", refused="spec.ports: Required"),))
UNREADABLE = Forecast("team", "chat", error=SpecError(Reason.PROFILE_NOT_FOUND, "spec.runtime.profileRef.name", "no"))


def _told(forecast: Forecast) -> str:
    return click.unstyle("\n".join(as_lines(forecast)))


@pytest.mark.parametrize(
    ("forecast", "status"), [(NOTHING, 0), (RESTARTING, 2), (CONFLICTING, 1), (REFUSED, 1), (UNREADABLE, 1)]
)
def test_exit_status_tells_change_from_failure(forecast: Forecast, status: int) -> None:
    assert exit_status([NOTHING, forecast]) == status


def test_restart_is_told_with_its_reason_when_the_pod_template_changes() -> None:
    told = _told(RESTARTING)
    assert "~ Deployment chat\n      spec.template.spec.containers[server].image: server:1 -> server:2" in told
    assert "! 2 pods would be replaced (RollingUpdate), because of spec.template.spec.containers[server].image" in told


def test_words_of_the_api_server_are_told_when_a_child_is_refused() -> None:
    assert "+ Service chat\n      refused by the API server: spec.ports: Required" in _told(REFUSED)


def test_reason_and_way_out_are_told_when_the_spec_cannot_be_carried_out() -> None:
    told = _told(UNREADABLE)
    assert "the operator would say ProfileNotFound: spec.runtime.profileRef.name: no" in told
    assert "kubectl get runtimeprofiles" in told


def test_document_has_before_and_after_when_json_is_asked_for() -> None:
    fields = as_document(RESTARTING)["objects"][0]["fields"]
    assert fields == ({"path": IMAGE.path, "before": "server:1", "after": "server:2"},)
    assert as_document(UNREADABLE)["error"]["reason"] == "ProfileNotFound"


def test_usage_error_is_an_error_and_not_a_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan"]) == 1
    assert "--filename" in capsys.readouterr().err
