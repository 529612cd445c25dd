"""What the generated CRDs must hold to, whatever the types say."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from modelservice_operator.tools import crdgen
from modelservice_operator.tools.drift import repository_root
from modelservice_operator.tools.structural import NotStructuralError, structural_schema

FORBIDDEN = {
    "$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "const", "title", "examples", "patternProperties",
    "propertyNames", "prefixItems", "uniqueItems", "exclusiveMinimum", "exclusiveMaximum", "x-server-default",
}  # fmt: skip
CRDS = [crdgen.custom_resource_definition(kind, status) for kind, status in crdgen.KINDS]


def root(crd: dict[str, Any]) -> dict[str, Any]:
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(schema: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield place, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{place}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{place}[]")


NODES = [(crd["spec"]["names"]["kind"] + place, node) for crd in CRDS for place, node in nodes(root(crd))]


def offenders(is_wrong):
    return [place for place, node in NODES if is_wrong(place, node)]


def test_schema_is_structural_when_generated():
    assert offenders(lambda _, node: node.keys() & FORBIDDEN) == []
    assert offenders(lambda _, node: node.get("additionalProperties") is False) == []
    assert offenders(lambda _, node: "type" not in node and not node.get("x-kubernetes-int-or-string")) == []


def test_every_field_is_described_when_explained():
    assert (
        offenders(
            lambda place, node: not place.endswith("[]") and ".metadata" not in place and not node.get("description")
        )
        == []
    )


def test_every_size_is_bounded_when_the_cost_of_rules_is_computed():
    def is_unbounded(place, node):
        if (place.split(".")[-1] in ("apiVersion", "kind") and place.count(".") == 1) or ".metadata" in place:
            return False
        bound = {"string": "maxLength", "array": "maxItems"}.get(node.get("type", ""), "")
        if node.get("x-kubernetes-int-or-string"):
            bound = "maxLength"
        if "additionalProperties" in node:
            bound = "maxProperties"
        return bound and bound not in node and "enum" not in node

    assert offenders(is_unbounded) == []


def test_every_list_says_how_it_merges_when_applied_by_two_writers():
    assert offenders(lambda _, node: node.get("type") == "array" and "x-kubernetes-list-type" not in node) == []


def test_conditions_are_told_apart_by_type_when_applied():
    conditions = root(CRDS[0])["properties"]["status"]["properties"]["conditions"]

    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_rule_names_an_existing_field_when_it_points_at_one():
    for place, node in NODES:
        for rule in node.get("x-kubernetes-validations", []):
            here = node
            for word in filter(None, rule.get("fieldPath", "").split(".")):
                assert word in here["properties"], (place, rule["fieldPath"])
                here = here["properties"][word]


def test_replicas_have_no_default_when_an_autoscaler_may_own_them():
    assert "default" not in root(CRDS[0])["properties"]["spec"]["properties"]["replicas"]


@pytest.mark.parametrize(("path", "content"), crdgen.files().items(), ids=lambda value: getattr(value, "name", ""))
def test_file_is_small_and_up_to_date_when_committed(path, content):
    assert len(content.encode()) < 100 * 1024
    assert (repository_root() / path).read_text() == content


def test_output_is_the_same_when_generated_twice():
    assert crdgen.files() == crdgen.files()


def test_plain_file_parses_to_the_same_definition_when_read():
    for crd, (_, text) in zip(
        CRDS, [item for item in crdgen.files().items() if item[0].parts[0] == "crds"], strict=True
    ):
        assert yaml.safe_load(text) == json.loads(json.dumps(crd))


def test_braces_are_escaped_when_a_description_holds_them():
    crd = {"metadata": {"name": "x"}, "spec": {"description": "{{ .Values }}"}}

    assert '{{ "{{" }} .Values }}' in crdgen.render_template(crd)


def test_check_fails_with_a_diff_when_a_file_is_stale(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(crdgen, "repository_root", lambda: tmp_path)
    assert crdgen.main(["--check"]) == 1
    assert "+kind: CustomResourceDefinition" in capsys.readouterr().err

    assert crdgen.main([]) == 0
    assert crdgen.main(["--check"]) == 0


def test_type_is_refused_when_a_crd_cannot_express_it():
    class Either(BaseModel):
        value: int | str

    with pytest.raises(NotStructuralError, match=r"Either\.value"):
        structural_schema(Either)
