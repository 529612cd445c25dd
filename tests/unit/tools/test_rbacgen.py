"""The permissions follow the registry of child kinds, and the committed file follows the permissions."""

import pytest
import yaml

from modelservice_operator.api.kinds import CHILD_KINDS, ChildKind
from modelservice_operator.tools import rbacgen


def test_a_new_child_kind_is_allowed_what_the_others_are() -> None:
    widget = ChildKind("Widget", "widgets.example.com", "v1", "widgets", optional=True)
    rules = {rule.group: rule for rule in rbacgen.child_rules((*CHILD_KINDS, widget))}
    assert rules[widget.group].resources == ("widgets",)
    assert rules[widget.group].verbs == rules["apps"].verbs


def test_kinds_of_one_group_share_a_rule() -> None:
    assert {rule.group: rule.resources for rule in rbacgen.child_rules()}[""] == (
        "configmaps",
        "serviceaccounts",
        "services",
    )


def test_a_rule_is_yaml_with_its_reason() -> None:
    rule = rbacgen.Rule("why", "apps", ("deployments",), ("list",), ("one",))
    text = rbacgen.render_rules([rule])
    assert text.startswith("# why\n")
    assert yaml.safe_load(text) == [
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["one"], "verbs": ["list"]}
    ]


def test_the_committed_roles_are_those_of_the_verb_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert rbacgen.main(["--check"]) == 0, capsys.readouterr().err
