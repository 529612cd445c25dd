"""Edits that leave out whole layers, or attention heads of every layer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from modelservice_runtime.preparing.edits import Named
from modelservice_runtime.preparing.structure import LAYER, PER_LAYER, Heads, count_key


class DropLayers:
    """Leaves out layers and counts the rest anew; `lists` are the settings that config.json has for each layer."""

    def __init__(self, count: int, dropped: Sequence[int], lists: Mapping[str, Sequence[Any]]) -> None:
        self.summary = f"layers {', '.join(map(str, dropped))} of {count} dropped"
        self._kept = [index for index in range(count) if index not in set(dropped)]
        self._places = {old: new for new, old in enumerate(self._kept)}
        self._lists = lists

    def apply(self, name: str, tensor: Any) -> Iterable[Named]:
        """Drop or rename."""
        found = LAYER.fullmatch(name)
        if found is None:
            return [(name, tensor)]
        place = self._places.get(int(found["number"]))
        return [] if place is None else [(f"{found['head']}{place}{found['tail']}", tensor)]

    def configure(self, config: dict[str, Any]) -> None:
        """State the number of layers, and what belongs to each."""
        config[count_key(config)] = len(self._kept)
        for key, values in self._lists.items():
            config[key] = [values[index] for index in self._kept]


class PruneHeads:
    """Leaves out groups of heads that share keys and values, as many in every layer."""

    def __init__(self, heads: Heads, dropped: Sequence[Sequence[int]]) -> None:
        gone = len(dropped[0])
        self.summary = (
            f"{gone * heads.shared} of {heads.count} attention heads of every layer dropped "
            f"({gone} of {heads.groups} groups)"
        )
        self._heads = heads
        self._kept = [[group for group in range(heads.groups) if group not in set(groups)] for groups in dropped]

    def apply(self, name: str, tensor: Any) -> Iterable[Named]:
        """Cut the projections of an attention."""
        found = LAYER.fullmatch(name)
        part = found["tail"].removeprefix(".self_attn.") if found else ""
        if found is None or part.partition(".")[0] not in ("q_proj", "k_proj", "v_proj", "o_proj"):
            return [(name, tensor)]
        groups = self._kept[int(found["number"])]
        width = self._heads.size * (1 if part[0] in "kv" else self._heads.shared)
        rows = torch.cat([torch.arange(group * width, (group + 1) * width) for group in groups])
        if part == "o_proj.bias":
            return [(name, tensor)]
        return [(name, tensor.index_select(1 if part[0] == "o" else 0, rows))]

    def configure(self, config: dict[str, Any]) -> None:
        """State how many heads are left, and the size of one, which is no longer to be divided."""
        groups = len(self._kept[0])
        config["num_attention_heads"] = groups * self._heads.shared
        config["num_key_value_heads"] = groups
        config["head_dim"] = self._heads.size


def per_layer_lists(config: Any, count: int) -> dict[str, list[Any]]:
    """Return the lists of a transformers config that have an entry for each layer."""
    found = {key: getattr(config, key, None) for key in PER_LAYER}
    return {key: list(value) for key, value in found.items() if isinstance(value, list) and len(value) == count}
