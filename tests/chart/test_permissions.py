"""What the operator may do, read from the rendered roles: what it needs and nothing else."""

from collections.abc import Iterator

import pytest

from modelservice_operator.kube.resources import LEASE, WATCHED
from tests.chart.rendering import NAMESPACE, Chart, Object, of_kind, one

pytestmark = pytest.mark.timeout(900)  # seconds; the first run may have to build Helm

OPERATOR = "modelservice-operator"
Grant = tuple[str, str, str, str]
"""Scope (`*` or a namespace), API group, resource, verb."""


def grants(objects: list[Object]) -> set[Grant]:
    """What the bindings give to the operator's ServiceAccount."""
    found: set[Grant] = set()
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        for binding in of_kind(objects, kind):
            assert [(s["name"], s["namespace"]) for s in binding["subjects"]] == [(OPERATOR, NAMESPACE)]
            found.update(granted_by(binding, objects))
    return found


def granted_by(binding: Object, objects: list[Object]) -> Iterator[Grant]:
    scope = binding["metadata"].get("namespace", "*")
    reference = binding["roleRef"]
    roles = of_kind(objects, reference["kind"], reference["name"])
    (role,) = (role for role in roles if reference["kind"] == "ClusterRole" or role["metadata"]["namespace"] == scope)
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from ((scope, group, resource, verb) for verb in rule["verbs"])


@pytest.fixture(scope="module")
def granted(chart: Chart) -> set[Grant]:
    return grants(chart.render())


def test_nothing_is_granted_by_wildcard(granted: set[Grant]) -> None:
    assert [grant for grant in granted if "*" in grant[1:]] == []


def test_nothing_lets_the_operator_read_secrets_or_run_commands_or_grow(granted: set[Grant]) -> None:
    resources = {resource for _, _, resource, _ in granted}
    assert not resources & {"secrets", "pods/exec", "pods/attach", "serviceaccounts/token", "nodes", "namespaces"}
    assert {group for _, group, _, _ in granted}.isdisjoint(
        {"rbac.authorization.k8s.io", "admissionregistration.k8s.io"}
    )
    assert {verb for *_, verb in granted}.isdisjoint({"escalate", "bind", "impersonate", "deletecollection"})


def test_everything_that_is_watched_may_be_listed_and_watched(granted: set[Grant]) -> None:
    needed = {("*", each.group, each.plural, verb) for each in WATCHED for verb in ("list", "watch")}
    assert needed <= granted


def test_the_users_objects_are_only_read_and_their_status_only_patched(granted: set[Grant]) -> None:
    verbs = {(resource, verb) for _, group, resource, verb in granted if group == "modelservice.dev"}
    assert {verb for resource, verb in verbs if "/" not in resource} <= {"get", "list", "watch"}
    assert {(resource, verb) for resource, verb in verbs if "/" in resource} == {("modelservices/status", "patch")}


def test_pods_are_only_read(granted: set[Grant]) -> None:
    assert {verb for _, _, resource, verb in granted if resource == "pods"} <= {"get", "list", "watch"}


def test_the_lease_is_granted_in_the_own_namespace_and_by_name(chart: Chart, granted: set[Grant]) -> None:
    assert {(scope, verb) for scope, group, _, verb in granted if group == LEASE.group} == {
        (NAMESPACE, verb) for verb in ("get", "create", "update")
    }
    rules = one(chart.render(), "Role", f"{OPERATOR}-lease")["rules"]
    unnamed = [verb for rule in rules if not rule.get("resourceNames") for verb in rule["verbs"]]
    assert unnamed == ["create"]


def test_chosen_namespaces_get_the_same_rules_and_the_cluster_only_profiles(chart: Chart, granted: set[Grant]) -> None:
    narrow = grants(chart.render({"watchNamespaces": ["team-a", "team-b"]}))
    wide = {grant[1:] for grant in granted if grant[0] == "*"}
    assert {grant[1:] for grant in narrow if grant[0] == "*"} == {
        ("modelservice.dev", "runtimeprofiles", verb) for verb in ("list", "watch")
    }
    for namespace in ("team-a", "team-b"):
        here = {grant[1:] for grant in narrow if grant[0] == namespace}
        assert here == {grant for grant in wide if grant[1] != "runtimeprofiles"}


def test_the_finalizer_rule_is_granted_only_where_the_cluster_asks_for_it(chart: Chart, granted: set[Grant]) -> None:
    finalizer = ("*", "modelservice.dev", "modelservices/finalizers", "update")
    assert finalizer not in granted
    assert finalizer in grants(chart.render({"rbac": {"ownerReferencesPermissionEnforcement": True}}))


def test_people_get_modelservices_with_the_roles_that_they_have(chart: Chart) -> None:
    objects = chart.render()
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    roles = {}
    for name in ("view", "edit"):
        role = one(objects, "ClusterRole", f"modelservice-{name}")
        aggregated = {key.removeprefix(prefix) for key in role["metadata"]["labels"] if key.startswith(prefix)}
        verbs = {verb for rule in role["rules"] if "modelservices" in rule["resources"] for verb in rule["verbs"]}
        roles[name] = (aggregated, verbs)
    assert roles == {
        "view": ({"view", "edit", "admin"}, {"get", "list", "watch"}),
        "edit": ({"edit", "admin"}, {"create", "delete", "deletecollection", "patch", "update"}),
    }


def test_people_get_nothing_when_aggregation_is_off(chart: Chart) -> None:
    names = {each["metadata"]["name"] for each in of_kind(chart.render({"rbac": {"aggregate": False}}), "ClusterRole")}
    assert names == {OPERATOR, f"{OPERATOR}-cluster"}
