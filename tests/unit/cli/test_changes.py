"""The difference between two objects, field by field."""

from typing import Any

import pytest

from modelservice_operator.cli.changes import FieldChange, changes
from modelservice_operator.cli.words import describe_change, in_words


def _deployment(image: str = "server:1", **metadata: Any) -> dict[str, Any]:
    server = {"name": "server", "image": image}
    return {"kind": "Deployment", "metadata": {"name": "chat", **metadata}, "spec": {"containers": [server]}}


def test_field_is_named_by_its_containers_name_when_the_image_changes() -> None:
    found = changes(_deployment(), _deployment("server:2"))
    assert found == (FieldChange("spec.containers[server].image", "server:1", "server:2"),)


def test_nothing_differs_when_only_the_api_servers_own_fields_do() -> None:
    after = _deployment(resourceVersion="9", generation=2, uid="u", managedFields=[{"manager": "x"}])
    assert changes(_deployment(), {**after, "status": {"replicas": 1}}) == ()


def test_nothing_differs_when_only_the_operators_notes_do() -> None:
    after = _deployment(annotations={"modelservice.dev/desired-hash": "abc"})
    assert changes(_deployment(), after) == ()


def test_every_field_is_listed_when_the_object_is_new() -> None:
    paths = [change.path for change in changes({}, _deployment())]
    assert paths == ["metadata.name", "spec.containers[server].name", "spec.containers[server].image"]


def test_field_goes_away_when_a_list_loses_an_item() -> None:
    before = {"metadata": {}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}
    after = {"metadata": {}, "spec": {"containers": [{"name": "a"}]}}
    assert changes(before, after) == (FieldChange("spec.containers[b].name", "b", None),)


def test_list_is_compared_whole_when_its_items_have_no_key() -> None:
    change = FieldChange("spec.args", ["a"], ["a", "b"])
    assert changes({"spec": {"args": ["a"]}}, {"spec": {"args": ["a", "b"]}}) == (change,)


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (FieldChange("spec.replicas", 1, 2), ["spec.replicas: 1 -> 2"]),
        (FieldChange("spec.replicas", None, 2), ["spec.replicas: 2"]),
        (FieldChange("spec.replicas", 1, None), ["spec.replicas: 1 -> (removed)"]),
        (FieldChange("a", "x: 1\ny: 2\n", "x: 1\ny: 3\n"), ["a:", "  -y: 2", "  +y: 3"]),
    ],
)
def test_change_reads_well(change: FieldChange, lines: list[str]) -> None:
    assert describe_change(change) == lines


def test_value_is_cut_when_it_is_long() -> None:
    assert in_words("a" * 500).endswith("... (500 characters)")
