"""The two packages share no code; what they agree on is written twice and held equal here."""

import importlib
from typing import get_args

import pytest

from modelservice_operator.api import contract
from modelservice_operator.api.reasons import Reason as OperatorReason
from modelservice_operator.api.v1alpha1.workload import SERVED_TASKS, Engine
from modelservice_operator.domain.api_keys import KEYS_DIR, lacks_keys
from modelservice_runtime import config
from modelservice_runtime.errors import BadSettings, ExitCode, Reason
from modelservice_runtime.sections import EngineSection
from modelservice_runtime.server.keys import open_keys
from modelservice_runtime.tasks.base import TASKS

CONSTANTS = sorted(name for name in vars(contract) if name.isupper())


@pytest.mark.parametrize("name", CONSTANTS)
def test_constant_is_equal_on_both_sides(name: str) -> None:
    assert getattr(config, name) == getattr(contract, name)


def test_exit_codes_are_equal_on_both_sides() -> None:
    assert {code.name: code.value for code in ExitCode} == {code.name: code.value for code in contract.ExitCode}


def test_every_runtime_reason_of_a_failed_model_is_one_of_the_api() -> None:
    own = {Reason.COMPLETED, Reason.BAD_SETTINGS, Reason.SOURCE_UNAVAILABLE}
    assert {str(reason) for reason in set(Reason) - own} <= {str(reason) for reason in OperatorReason}


def test_both_packages_carry_one_version() -> None:
    versions = {importlib.import_module(name).__version__ for name in ("modelservice_operator", "modelservice_runtime")}
    assert len(versions) == 1


def test_every_task_of_the_runtime_may_be_asked_for_and_no_other() -> None:
    assert {info.name for info in TASKS} == set(SERVED_TASKS)


def test_operator_understands_when_the_server_finds_no_api_key() -> None:
    with pytest.raises(BadSettings) as caught:
        open_keys(KEYS_DIR)
    assert lacks_keys(str(caught.value))


@pytest.mark.parametrize("field", ["dtype", "quantization"])
def test_every_choice_of_the_engine_is_one_of_the_runtime_and_the_other_way_round(field: str) -> None:
    ours, theirs = (set(get_args(each.model_fields[field].annotation)) for each in (Engine, EngineSection))
    assert ours == theirs
