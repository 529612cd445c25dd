"""Every sample and demonstration is an object that the API takes: the operator's own models say so."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelservice_operator.api.v1alpha1 import ModelService, RuntimeProfile
from tests.chart.tools import ROOT

KINDS: dict[str, type[ModelService] | type[RuntimeProfile]] = {
    "ModelService": ModelService,
    "RuntimeProfile": RuntimeProfile,
}
SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))
DEMOS = sorted(path for path in (ROOT / "manifests" / "demo").glob("*.yaml") if path.name != "values.yaml")
CHART_VALUES = ROOT / "charts" / "modelservice" / "values.yaml"
DEMO_VALUES = ROOT / "manifests" / "demo" / "values.yaml"


def objects(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def profiles(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["profiles"]
    return found


@pytest.mark.parametrize("path", [*SAMPLES, *DEMOS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_manifest_is_valid_and_called_like_its_file(path: Path) -> None:
    (only,) = objects(path)
    KINDS[only["kind"]].model_validate(only)
    if only["kind"] == "ModelService":
        assert only["metadata"]["name"] == path.stem


@pytest.mark.parametrize("path", [*SAMPLES, *DEMOS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_manifest_opens_with_a_comment_that_says_what_it_shows(path: Path) -> None:
    assert path.read_text().startswith("# ")


def test_samples_name_only_profiles_that_the_chart_brings() -> None:
    named = {
        each["spec"].get("runtime", {}).get("profileRef", {}).get("name")
        for path in SAMPLES
        for each in objects(path)
        if each["kind"] == "ModelService"
    }
    assert named - {None} <= profiles(CHART_VALUES).keys()


def test_demonstrations_name_only_profiles_that_the_quickstart_installs() -> None:
    installed = profiles(CHART_VALUES) | profiles(DEMO_VALUES)
    named = {
        each["spec"].get("runtime", {}).get("profileRef", {}).get("name") for path in DEMOS for each in objects(path)
    }
    assert named - {None} == {"simulated"}
    assert installed["simulated"]["simulated"] is True


@pytest.mark.parametrize("values", [CHART_VALUES, DEMO_VALUES], ids=lambda path: path.parent.name)
def test_a_profile_of_the_values_is_one_that_the_api_takes(values: Path) -> None:
    for name, spec in profiles(values).items():
        RuntimeProfile.model_validate({"metadata": {"name": name}, "spec": spec})
