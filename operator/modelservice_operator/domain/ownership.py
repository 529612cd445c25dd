"""Who owns the fields of a child, by its `metadata.managedFields`, and what that means for `driftPolicy: Report`.

Whoever gives a field another value takes it from the operator, and the API server remembers both. With that record
fields that somebody else changed are told apart from fields that the spec now wants otherwise: the first are reported
and stay, the second are applied, even where both meet in one child.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..api.kinds import DEPLOYMENT
from ..api.names import DESIRED_HASH, FIELD_MANAGER
from .compare import MERGE_KEYS
from .plan import Apply, ChildKey, ChildState, Delete, Drift, Plan
from .tree import Tree, branch, items, text

Raw = Mapping[str, Any]
"""An object as the API server has it, not projected: with `metadata.managedFields`."""

_ALWAYS_OURS: Final = f"metadata.annotations.{DESIRED_HASH}"
_REPLICAS: Final = "spec.replicas"
_FREE_MAPS: Final = frozenset(("labels", "annotations", "matchLabels", "nodeSelector", "limits", "requests", "data"))


def managers_of(path: str, live: Raw) -> tuple[str, ...]:
    """The field managers that own a path such as `spec.template.spec.containers[server].image`, each once."""
    return tuple(dict.fromkeys(manager for manager, fields in _owned_sets(live) if _covers(fields, path, live)))


def may_have_drifted(plan: Plan) -> tuple[ChildKey, ...]:
    """The children about which `report_drift` has to know who owns their fields."""
    return tuple((step.kind, step.name) for step in plan.actions if isinstance(step, Apply) and step.fields)


def report_drift(plan: Plan, raw: Mapping[ChildKey, Raw]) -> Plan:
    """The plan without the repair of what others changed: that is told in the states of the children.

    A child whose manifest changed is applied without the fields that somebody else has taken. A child that differs only
    in fields that are still the operator's own has not been changed by anybody: the server spells it in its own way,
    and applying tells how.
    """
    actions: list[Apply | Delete] = []
    drifted: dict[ChildKey, tuple[Drift, ...]] = {}
    for step in plan.actions:
        key = step.kind, step.name
        if not isinstance(step, Apply) or key not in raw:
            actions.append(step)
            continue
        foreign = tuple(_foreign(step, raw[key]))
        if foreign:
            drifted[key] = foreign
        if step.reason == "Changed":
            actions.append(replace(step, manifest=_spare(step.manifest, foreign, raw[key])))
        elif not foreign:
            actions.append(step)
    return replace(plan, actions=tuple(actions), children=tuple(_told(child, drifted) for child in plan.children))


def _told(child: ChildState, drifted: Mapping[ChildKey, tuple[Drift, ...]]) -> ChildState:
    found = drifted.get((child.kind, child.name))
    return replace(child, state="Drifted", drift=found) if found else child


def _foreign(step: Apply, live: Raw) -> Iterator[Drift]:
    """The differing fields that are not the operator's any more.

    Of a changed manifest only those that somebody else holds: what nobody holds is new in the spec, or was removed, and
    both are applied. The number of replicas follows the spec then, because scaling and suspending depend on it.
    """
    for path in step.fields:
        managers = managers_of(path, live)
        if FIELD_MANAGER in managers or path == _ALWAYS_OURS:
            continue
        if step.reason == "Changed" and (not managers or (step.kind == DEPLOYMENT.kind and path == _REPLICAS)):
            continue
        yield Drift(path, ", ".join(managers))


def _spare(manifest: Mapping[str, Any], foreign: Sequence[Drift], live: Raw) -> Mapping[str, Any]:
    """The manifest without fields: server-side apply leaves alone what is not in it and is not the operator's."""
    for drift in foreign:
        for _, fields in _owned_sets(live):
            if _covers(fields, drift.field, live):
                manifest = _without(manifest, fields, drift.field, live)
    return manifest


def _owned_sets(live: Raw) -> Iterator[tuple[str, Tree]]:
    """The field managers, and the sets of fields that each of them owns."""
    for entry in items(live, "metadata", "managedFields"):
        fields = branch(entry, "fieldsV1")
        if fields and text(entry, "manager"):
            yield text(entry, "manager"), fields


def _covers(fields: Tree, path: str, live: Any, is_free: bool = False) -> bool:
    """Whether a set of fields has the path, something below it, or the list or map above it as one whole."""
    if not path or not fields:
        return True
    return any(_covers(step.below, step.rest, step.live, step.is_free) for step in _steps(fields, path, live, is_free))


def _without(body: Any, fields: Tree, path: str, live: Any, is_free: bool = False) -> Any:
    """`body` without what the path leads to, or without the whole above it that has one owner."""
    for step in _steps(fields, path, live, is_free):
        goes_on = bool(step.rest and step.below)
        if isinstance(body, Mapping) and step.name in body:
            kept = {key: value for key, value in body.items() if key != step.name}
            if not goes_on:
                return kept
            return {**kept, step.name: _without(body[step.name], step.below, step.rest, step.live, step.is_free)}
        if isinstance(body, list):
            rest = [item for item in body if not _is_called(item, step.name)]
            meant = [item for item in body if _is_called(item, step.name)] if goes_on else []
            return [*rest, *(_without(item, step.below, step.rest, step.live) for item in meant)]
    return body


@dataclass(frozen=True, slots=True)
class _Step:
    """One step along a path: the key or the item's name, what the set has below, what is left, the live value there.

    `is_free` says that the keys below may have dots in them, so that the path ends with one.
    """

    name: str
    below: Tree
    rest: str
    live: Any
    is_free: bool = False


def _steps(fields: Tree, path: str, live: Any, is_free: bool) -> Iterator[_Step]:
    """The entries of a set of fields that lead towards a path.

    Entries are `f:name` for a key of a map and `k:{"name":"server"}` for an item of a list. The API server may tell
    items apart by other keys than a path does (ports by number and protocol), so the live item is asked for them.
    """
    for word, below in fields.items():
        key = word[2:]
        if word.startswith("f:") and path.startswith(key):
            rest = path[len(key) :]
            if rest[:1] in (("",) if is_free else ("", ".", "[")):
                yield _Step(key, branch(below), rest.removeprefix("."), _value(live, key), key in _FREE_MAPS)
        elif word.startswith("k:") and path.startswith("["):
            name, _, rest = path[1:].partition("]")
            item: Tree = next((item for item in live if _is_called(item, name)), {}) if isinstance(live, list) else {}
            if _is_item(item, key):
                yield _Step(name, branch(below), rest.removeprefix("."), item)


def _value(live: Any, key: str) -> Any:
    return live.get(key) if isinstance(live, Mapping) else None


def _is_called(item: Any, name: str) -> bool:
    return isinstance(item, Mapping) and name in (str(item.get(key)) for key in MERGE_KEYS)


def _is_item(item: Mapping[str, Any], keys: str) -> bool:
    """Whether a set of fields means this item by `keys`, which are JSON."""
    try:
        wanted = branch({"keys": json.loads(keys)}, "keys")
    except ValueError:
        return False
    return bool(item) and all(item.get(key) == value for key, value in wanted.items())
