from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelservice_operator.controller.patch import merge_patch
from tests.support.fake_kube import apply_merge_patch

VALUES = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(DOCUMENTS, DOCUMENTS)
def test_patch_leads_to_the_new_document_when_applied(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert apply_merge_patch(old, merge_patch(old, new)) == new


@given(DOCUMENTS)
def test_patch_is_empty_when_nothing_changed(document: dict[str, Any]) -> None:
    assert merge_patch(document, document) == {}


@pytest.mark.parametrize("new", [{"a": None}, {}])
def test_null_means_absent_when_it_is_wanted(new: dict[str, Any]) -> None:
    assert merge_patch({}, new) == {}
    assert merge_patch({"a": 1}, new) == {"a": None}
