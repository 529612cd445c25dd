"""Strategic merge of pod templates, as the API server's own."""

from modelservice_operator.render.merge import merge


def test_maps_are_merged_and_null_takes_a_key_away() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9, "e": 4}, "d": None}) == {"a": {"b": 9, "c": 2, "e": 4}}


def test_items_are_merged_by_their_key_and_new_ones_come_last() -> None:
    base = {"containers": [{"name": "server", "image": "a", "env": [{"name": "X", "value": "1"}]}]}
    patch = {"containers": [{"name": "proxy"}, {"name": "server", "env": [{"name": "Y", "value": "2"}]}]}
    env = [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]
    assert merge(base, patch) == {"containers": [{"name": "server", "image": "a", "env": env}, {"name": "proxy"}]}


def test_item_goes_when_the_patch_says_so() -> None:
    base = {"volumes": [{"name": "tmp"}, {"name": "model"}]}
    assert merge(base, {"volumes": [{"name": "tmp", "$patch": "delete"}]}) == {"volumes": [{"name": "model"}]}


def test_other_lists_are_replaced() -> None:
    assert merge({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}) == {"tolerations": [{"key": "b"}]}


def test_neither_side_is_changed() -> None:
    base, patch = {"a": {"b": 1}}, {"a": {"c": 2}}
    merge(base, patch)
    assert (base, patch) == ({"a": {"b": 1}}, {"a": {"c": 2}})
