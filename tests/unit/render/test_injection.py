"""No text in a ModelService becomes a field, an object, or another text: it arrives as it was written, or is refused.

Every string of specs that together use every option is replaced, one at a time, by a text made of the syntax of YAML,
of Jinja and of shells. What is rendered must be what the spec made before, with this text where the other one was.
"""

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelservice_operator.api.names import ASKED, DESIRED_HASH, REVISION, SETTINGS
from modelservice_operator.domain import SpecError, desired, read_service
from modelservice_operator.render import Renderer
from tests.golden.test_manifests import CASES
from tests.support.builders import FACTS, NAME, NAMESPACE, OWNER_UID

Path = tuple[str | int, ...]
Body = dict[str, Any]

WORST = "{{ 7*7 }}{% raw %}\n---\nkind: Secret\n- a: &b \"'\\ #\u2028"
_PIECES = ("{{", "}}", "{%", "%}", "{#", "\n", "---", ": ", "- ", "#", "'", '"', "\\", "&a", "*a", "!!x", "|", ">")
_WORDS = ("$(X)", "a", " ", "\t", "\u0085", "\u2028", "~", "1e3", "no", "\x7f", "é")
TEXTS = st.lists(st.sampled_from((*_PIECES, *_WORDS)), min_size=1, max_size=6).map("".join)

DIGESTS = (DESIRED_HASH, REVISION, ASKED)
"""Label and annotations that follow from all that is rendered, or asked for."""
MERGED = "podTemplate"
"""Names in it decide what is merged with what, so another name makes another pod."""
QUERY = "query"
"""A metric with labels is written in one text and selected by two fields, so one without labels has another shape."""
RENDERER = Renderer()


@cache
def cases() -> dict[str, tuple[Body, Any]]:
    """Specs as manifests, with the profile of each; those of caches need claims, and add no string."""
    made = {name: make() for name, make in CASES.items() if not name.startswith("cached")}
    return {name: (service.spec.manifest(), profile) for name, (service, profile) in made.items()}


@cache
def places() -> list[tuple[str, Path]]:
    """Every string, by its path in the first spec that has one there."""
    first: dict[Path, str] = {}
    for name, (spec, _) in cases().items():
        for path, value in leaves(spec):
            is_read = path[-1] == QUERY or (path[0] == MERGED and path[-1] == "name")
            if isinstance(value, str) and not is_read:
                first.setdefault(path, name)
    return [(name, path) for path, name in first.items()]


def leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar, and every empty map and list, with the way to it."""
    below = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    if not below:
        yield path, node
    for key, child in below:
        yield from leaves(child, (*path, key))


def put(spec: Body, path: Path, text: str) -> Body:
    """The spec with another text at the path."""
    changed = copy.deepcopy(spec)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = text
    return changed


def rendered(case: str, spec: Body) -> dict[Path, Any]:
    """Every scalar of every child, by its path; the settings, which are YAML in a text, are opened as well."""
    body = {"metadata": {"name": NAME, "namespace": NAMESPACE, "uid": OWNER_UID, "generation": 1}, "spec": spec}
    found: dict[Path, Any] = {}
    for child in desired(read_service(body), cases()[case][1], FACTS):
        for path, value in leaves(RENDERER.render(child.template, child.values), (child.kind.kind,)):
            found |= dict(leaves(yaml.safe_load(value) if path[-1] == SETTINGS else value, path))
    return {path: value for path, value in found.items() if path[-1] not in DIGESTS}


@cache
def rendered_before(case: str) -> dict[Path, Any]:
    """What the spec of a case makes as it is."""
    return rendered(case, cases()[case][0])


def is_taken(case: str, path: Path, text: str) -> bool:
    """Whether the text is accepted at the path; asserts that it changes nothing but the places of the old one."""
    spec, _ = cases()[case]
    try:
        after = rendered(case, put(spec, path, text))
    except SpecError:
        return False
    before, old = rendered_before(case), str(dict(leaves(spec))[path])
    assert after.keys() == before.keys(), f"{case} {path}: {text!r} changed the shape"
    escaped = text.replace("$(", "$$(")  # what the kubelet makes the text of again, where it would expand variables
    wrong = {
        place: (was, after[place])
        for place, was in before.items()
        if after[place] not in (was, text, str(was).replace(old, text), str(was).replace(old, escaped))
    }
    assert wrong == {}, f"{case} {path}: {text!r} became another text"
    return True


def test_no_string_changes_the_shape_of_what_is_rendered() -> None:
    taken = [path for case, path in places() if is_taken(case, path, WORST)]
    assert len(places()) > 90
    assert len(taken) > 15
    assert ("runtime", "args", 0) in taken


@settings(max_examples=150, derandomize=True)
@given(place=st.sampled_from(places()), text=TEXTS)
def test_text_arrives_as_it_was_written_or_is_refused(place: tuple[str, Path], text: str) -> None:
    is_taken(*place, text)


@pytest.mark.thorough
@settings(max_examples=5000)
@given(place=st.sampled_from(places()), text=TEXTS)
def test_many_texts_arrive_as_they_were_written_or_are_refused(place: tuple[str, Path], text: str) -> None:
    is_taken(*place, text)
