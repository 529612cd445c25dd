"""manifests/install.yaml and profiles.yaml are the chart's defaults, for people without Helm."""

from pathlib import Path

import pytest
import yaml

from modelservice_operator.tools import manifestgen
from tests.chart.tools import ROOT

pytestmark = pytest.mark.timeout(900)  # seconds; the first run may have to build Helm


def objects(name: str) -> list[dict[str, object]]:
    return [each for each in yaml.safe_load_all((ROOT / "manifests" / name).read_text()) if each]


def test_the_committed_manifests_are_what_the_chart_renders(helm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert manifestgen.main(["--check", "--helm", str(helm)]) == 0, capsys.readouterr().err


def test_helm_is_asked_for_by_name_when_it_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert manifestgen.main(["--check", "--helm", "/nowhere/helm"]) == 2
    assert "--helm" in capsys.readouterr().err


def test_the_namespace_comes_first_and_enforces_the_restricted_standard() -> None:
    first = objects("install.yaml")[0]
    metadata = first["metadata"]
    assert first["kind"] == "Namespace"
    assert isinstance(metadata, dict)
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_file_never_holds_objects_of_a_kind_that_it_defines() -> None:
    kinds = {each["kind"] for each in objects("install.yaml")}
    assert "CustomResourceDefinition" in kinds
    assert kinds.isdisjoint({"RuntimeProfile", "ModelService"})
    assert {each["kind"] for each in objects("profiles.yaml")} == {"RuntimeProfile"}


def test_nothing_claims_to_be_managed_by_helm() -> None:
    for name in ("install.yaml", "profiles.yaml"):
        assert "helm.sh/" not in (ROOT / "manifests" / name).read_text()
        assert "managed-by: Helm" not in (ROOT / "manifests" / name).read_text()
