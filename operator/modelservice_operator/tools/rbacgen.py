"""The permissions of the operator, the metrics adapter and the activator, from one verb table to the chart's templates.

Permissions live in code, beside what needs them: the children come from the registry of child kinds, so that a new
child kind is allowed (and only as much as the others) without a second list to keep. The result is a Helm template
because the same rules are bound either in the whole cluster or in chosen namespaces. No rule has a wildcard, none
reads a Secret, and none lets the operator grant more than it has.

`python -m modelservice_operator.tools.rbacgen` writes the files, `--check` exits 1 and prints a diff when one is out of
date.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelservice_operator.api.kinds import CHILD_KINDS, ChildKind
from modelservice_operator.api.names import GROUP
from modelservice_operator.tools.drift import publish, repository_root

TARGET: Final = Path("charts/modelservice/templates/rbac.yaml")
ADAPTER_TARGET: Final = Path("charts/modelservice/templates/metrics-adapter-rbac.yaml")
ACTIVATOR_TARGET: Final = Path("charts/modelservice/templates/activator-rbac.yaml")
SOURCE: Final = "modelservice_operator.tools.rbacgen"

WATCH: Final = ("list", "watch")
# Server-side apply asks for `create` when the object is missing and for `patch` otherwise.
APPLY: Final = ("create", "patch")


@dataclass(frozen=True)
class Rule:
    """One RBAC rule with the reason that stands beside it in the generated file."""

    reason: str
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    resource_names: tuple[str, ...] = ()


def child_rules(kinds: Iterable[ChildKind] = CHILD_KINDS) -> tuple[Rule, ...]:
    """What the operator does with its children: see them, apply them, prune them; one rule for each API group.

    `get` finds an object of the same name that is not the operator's, which its label-selected watch does not show.
    """
    plurals: dict[str, list[str]] = {}
    for kind in kinds:
        plurals.setdefault(kind.group, []).append(kind.plural)
    return tuple(
        Rule("children: seen, applied, pruned", group, tuple(sorted(names)), ("get", *WATCH, *APPLY, "delete"))
        for group, names in sorted(plurals.items())
    )


def namespaced_rules(kinds: Iterable[ChildKind] = CHILD_KINDS) -> tuple[Rule, ...]:
    """What the operator needs in every namespace that it serves."""
    return (
        Rule("what users ask for", GROUP, ("modelservices",), WATCH),
        Rule("what users are told", GROUP, ("modelservices/status",), ("patch",)),
        *child_rules(kinds),
        Rule("why a model server does not run", "", ("pods",), WATCH),
        Rule("whether the claim of a cache exists and can be shared", "", ("persistentvolumeclaims",), ("get",)),
    )


CLUSTER_RULES: Final = (Rule("profiles that ModelServices refer to", GROUP, ("runtimeprofiles",), WATCH),)
LEASE_NAME: Final = '{{ include "modelservice.operator" . }}'
LEASE_RULES: Final = (
    Rule("the lease; `create` cannot be limited to a name", "coordination.k8s.io", ("leases",), ("create",)),
    Rule(
        "the lease",
        "coordination.k8s.io",
        ("leases",),
        ("get", "update"),
        (LEASE_NAME,),
    ),
)
ADAPTER_POD_RULES: Final = (Rule("the pods whose metrics are asked for", "", ("pods",), ("list",)),)
ADAPTER_CLAIM_RULES: Final = (
    Rule(
        "whether another provider of the metrics is registered",
        "apiregistration.k8s.io",
        ("apiservices",),
        ("get",),
        ("v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"),
    ),
)
ACTIVATOR_RULES: Final = (
    Rule("which services have no pod, and where the others' pods are", "discovery.k8s.io", ("endpointslices",), WATCH),
    Rule("from zero to one pod, when somebody asks", "apps", ("deployments/scale",), ("get", "patch")),
)
DOORMEN_RULES: Final = (Rule("where the activator's pods are", "discovery.k8s.io", ("endpointslices",), WATCH),)
FINALIZER_RULE: Final = Rule(
    "owner references that block the owner's deletion", GROUP, ("modelservices/finalizers",), ("update",)
)
VIEW_RULES: Final = (
    Rule("", GROUP, ("modelservices", "modelservices/status", "modelservices/scale"), ("get", *WATCH)),
    Rule("", GROUP, ("runtimeprofiles",), ("get", *WATCH)),
)
EDIT_RULES: Final = (
    Rule("", GROUP, ("modelservices",), ("create", "delete", "deletecollection", "patch", "update")),
    Rule("", GROUP, ("modelservices/scale",), ("patch", "update")),
)


def render_rule(rule: Rule) -> list[str]:
    """The rule as lines of YAML, its reason as a comment above."""
    lines = [f"# {rule.reason}"] if rule.reason else []
    lines += [
        f'- apiGroups: ["{rule.group}"]',
        f"  resources: [{', '.join(rule.resources)}]",
        f"  verbs: [{', '.join(rule.verbs)}]",
    ]
    if rule.resource_names:
        lines.insert(-1, f"  resourceNames: [{', '.join(rule.resource_names)}]")
    return lines


def render_rules(rules: Sequence[Rule]) -> str:
    """The rules as one YAML list."""
    return "\n".join(line for rule in rules for line in render_rule(rule))


ROLE: Final = """---
apiVersion: rbac.authorization.k8s.io/v1
kind: {kind}
metadata:
  name: {name}{namespace}
  labels: {{{{- include "{own}" {scope} | nindent 4 }}}}{labels}
rules:
{rules}
"""
BINDING: Final = """---
apiVersion: rbac.authorization.k8s.io/v1
kind: {kind}Binding
metadata:
  name: {name}{namespace}
  labels: {{{{- include "{own}" {scope} | nindent 4 }}}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {kind}
  name: {name}
subjects:
  - kind: ServiceAccount
    name: {{{{ include "{account}" {scope} }}}}
    namespace: {{{{ {scope}.Release.Namespace }}}}
"""
# A role that every cluster has: it lets one read the authority of the front proxy.
ADAPTER_TRUST: Final = """---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ include "modelservice.adapter" $ }}
  namespace: kube-system
  labels: {{- include "modelservice.adapterLabels" $ | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: extension-apiserver-authentication-reader
subjects:
  - kind: ServiceAccount
    name: {{ include "modelservice.adapter" $ }}
    namespace: {{ $.Release.Namespace }}
"""


def render_role(
    name: str,
    rules: str,
    *,
    namespace: str = "",
    scope: str = "$",
    labels: Sequence[str] = (),
    bound: bool = True,
    component: str = "operator",
) -> str:
    """A role and, unless it is only aggregated, the binding to the component's ServiceAccount.

    Args:
        name: template text of the role's name.
        rules: YAML list of rules, or template text that gives one, indented by the caller.
        namespace: template text of the namespace; empty makes a ClusterRole.
        scope: the template variable that holds the chart's root.
        labels: more labels, as lines of YAML.
        bound: whether the component gets the role itself.
        component: the operator, the metrics adapter or the activator.
    """
    values = {
        "kind": "Role" if namespace else "ClusterRole",
        "name": name,
        "namespace": f"\n  namespace: {namespace}" if namespace else "",
        "scope": scope,
        "labels": "".join(f"\n    {label}" for label in labels),
        "rules": rules,
        "account": "modelservice.serviceAccount" if component == "operator" else f"modelservice.{component}",
        "own": "modelservice.labels" if component == "operator" else f"modelservice.{component}Labels",
    }
    return ROLE.format(**values) + (BINDING.format(**values) if bound else "")


def indented(rules: Sequence[Rule]) -> str:
    """The rules as they stand under a role's `rules` key."""
    return "\n".join(f"  {line}" for line in render_rules(rules).splitlines())


def render_template() -> str:
    """The whole of `templates/rbac.yaml`."""
    operator = '{{ include "modelservice.operator" $ }}'
    served = '  {{- include "modelservice.servedRules" $ | nindent 2 }}'
    aggregate = "rbac.authorization.k8s.io/aggregate-to-"
    cluster = indented(CLUSTER_RULES)
    lease = indented(LEASE_RULES)
    return "".join(
        (
            f"{{{{- /* Generated by `python -m {SOURCE}` from the verb table there. Do not edit. */}}}}\n",
            '{{- define "modelservice.servedRules" -}}\n',
            f"{render_rules(namespaced_rules())}\n",
            "{{- if .Values.rbac.ownerReferencesPermissionEnforcement }}\n",
            f"{render_rules([FINALIZER_RULE])}\n",
            "{{- end }}\n{{- end -}}\n",
            "{{- if .Values.rbac.create }}\n",
            render_role(f"{operator}-cluster", cluster),
            "{{- range .Values.watchNamespaces }}\n",
            render_role(operator, served, namespace="{{ . }}"),
            "{{- else }}\n",
            render_role(operator, served),
            "{{- end }}\n",
            render_role(f"{operator}-lease", lease, namespace="{{ $.Release.Namespace }}"),
            "{{- end }}\n",
            "{{- if .Values.rbac.aggregate }}\n",
            render_role(
                '{{ include "modelservice.fullname" $ }}-view',
                indented(VIEW_RULES),
                labels=[f'{aggregate}{role}: "true"' for role in ("view", "edit", "admin")],
                bound=False,
            ),
            render_role(
                '{{ include "modelservice.fullname" $ }}-edit',
                indented(EDIT_RULES),
                labels=[f'{aggregate}{role}: "true"' for role in ("edit", "admin")],
                bound=False,
            ),
            "{{- end }}\n",
        )
    )


def render_adapter_template() -> str:
    """The whole of `templates/metrics-adapter-rbac.yaml`."""
    name = '{{ include "modelservice.adapter" $ }}'
    pods, claim = indented(ADAPTER_POD_RULES), indented(ADAPTER_CLAIM_RULES)
    return "".join(
        (
            f"{{{{- /* Generated by `python -m {SOURCE}` from the verb table there. Do not edit. */}}}}\n",
            "{{- if and .Values.metricsAdapter.enabled .Values.rbac.create }}\n",
            render_role(f"{name}-cluster", claim, component="adapter"),
            "{{- range .Values.watchNamespaces }}\n",
            render_role(name, pods, namespace="{{ . }}", component="adapter"),
            "{{- else }}\n",
            render_role(name, pods, component="adapter"),
            "{{- end }}\n",
            ADAPTER_TRUST,
            "{{- end }}\n",
        )
    )


def render_activator_template() -> str:
    """The whole of `templates/activator-rbac.yaml`; the last role is the operator's."""
    name = '{{ include "modelservice.activator" $ }}'
    rules = indented(ACTIVATOR_RULES)
    own = "{{ $.Release.Namespace }}"
    return "".join(
        (
            f"{{{{- /* Generated by `python -m {SOURCE}` from the verb table there. Do not edit. */}}}}\n",
            "{{- if and .Values.activator.enabled .Values.rbac.create }}\n",
            "{{- range .Values.watchNamespaces }}\n",
            render_role(name, rules, namespace="{{ . }}", component="activator"),
            "{{- else }}\n",
            render_role(name, rules, component="activator"),
            "{{- end }}\n",
            render_role(f"{name}-pods", indented(DOORMEN_RULES), namespace=own),
            "{{- end }}\n",
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the template, or check it; the exit status says whether it was up to date."""
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    root = repository_root()
    files = {
        root / TARGET: render_template(),
        root / ADAPTER_TARGET: render_adapter_template(),
        root / ACTIVATOR_TARGET: render_activator_template(),
    }
    return publish(files, check=check, command=f"python -m {SOURCE}")


if __name__ == "__main__":
    sys.exit(main())
