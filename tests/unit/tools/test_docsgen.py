"""The documents follow their sources: values.yaml, the settings, the metrics, the reasons."""

import json
from typing import Any

import pytest

from modelservice_operator.api.reasons import Reason
from modelservice_operator.observability.metrics import PREFIX, Metrics
from modelservice_operator.settings import Settings
from modelservice_operator.tools import chart_values, docsgen

VALUES = """
# The image.
image:
  # -- Name of the image,
  # on two lines.
  # @schema {"minLength": 1}
  repository: a/b
# -- Any map | really.
labels:
  a: b
# -- Names.
names: []
"""


def schema() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(chart_values.render_schema(chart_values.read_entries(VALUES), {}))
    return parsed


def test_rows_and_groups_are_told_apart() -> None:
    entries = chart_values.read_entries(VALUES)
    assert [(".".join(entry.path), entry.is_group) for entry in entries] == [
        ("image", True),
        ("image.repository", False),
        ("labels", False),
        ("names", False),
    ]


def test_the_schema_takes_types_from_defaults_and_constraints_from_comments() -> None:
    repository = schema()["properties"]["image"]["properties"]["repository"]
    assert repository == {"description": "Name of the image, on two lines.", "type": "string", "minLength": 1}


def test_groups_refuse_unknown_keys_and_maps_do_not() -> None:
    properties = schema()["properties"]
    assert properties["image"]["additionalProperties"] is False
    assert "additionalProperties" not in properties["labels"]


def test_a_key_without_a_description_is_refused_by_name() -> None:
    with pytest.raises(chart_values.ValuesError, match=r"a\.b has no comment"):
        chart_values.read_entries("# A.\na:\n  b: 1\n")


def test_the_table_has_one_row_for_each_value_and_escapes_bars() -> None:
    table = docsgen.render_values(chart_values.read_entries(VALUES))
    assert '| `image.repository` | `"a/b"` | Name of the image, on two lines. |' in table
    assert "Any map \\| really." in table


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(docsgen.MarkerError, match="needs the markers"):
        docsgen.replace_table("# Title\n", "values", "")


def test_every_reason_has_a_row() -> None:
    table = docsgen.render_reasons()
    assert [reason for reason in Reason if f"| `{reason}` |" not in table] == []


def test_every_setting_has_a_row_with_its_meaning() -> None:
    table = docsgen.render_settings()
    assert [name for name in Settings.model_fields if f"`--{name.replace('_', '-')}`" not in table] == []
    assert "|  |\n" not in table


def test_counters_are_named_as_prometheus_shows_them() -> None:
    table = docsgen.render_metrics(Metrics().registry, PREFIX)
    assert "| `modelservice_operator_reconciles_total` | counter |" in table
    assert "| `modelservice_operator_leader` | gauge |" in table


def test_a_definition_is_closed_where_it_has_properties_and_open_where_it_preserves() -> None:
    closed = chart_values.closed(
        {
            "type": "object",
            "x-kubernetes-validations": [],
            "properties": {
                "rest": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
            },
        }
    )
    assert closed["additionalProperties"] is False
    assert "x-kubernetes-validations" not in closed
    assert "additionalProperties" not in closed["properties"]["rest"]
    assert closed["properties"]["list"]["items"]["additionalProperties"] is False


def test_the_committed_documents_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert docsgen.main(["--check"]) == 0, capsys.readouterr().err
