"""Where the layers and heads of an architecture lie, for those that can lose some and stay what their config says.

A pruned model must load with plain transformers, so its config must be able to say what is left. Layers can be fewer
wherever they are counted. Heads can be fewer where the size of a head is stated apart from the size of the model; BERT,
ViT and their kin divide one by the number of heads, so a head cannot go without changing all others.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelservice_runtime.errors import BadSettings, UnusableModel

HEADED = ("gemma", "gemma2", "gemma3_text", "llama", "mistral", "qwen2", "qwen3")
LAYERED = (
    *HEADED, "bert", "camembert", "deit", "distilbert", "electra", "gpt2", "gpt_neox", "granite", "hubert", "olmo2",
    "opt", "phi", "phi3", "roberta", "smollm3", "starcoder2", "vit", "wav2vec2", "xlm-roberta",
)  # fmt: skip
COUNTS = ("num_hidden_layers", "n_layer", "n_layers")
PER_LAYER = ("layer_types", "no_rope_layers")
LAYER = re.compile(r"(?P<head>(?:.*\.)?(?:layers|layer|h)\.)(?P<number>\d+)(?P<tail>\..*)")


@dataclass(frozen=True)
class Heads:
    """The attention heads of a layer: how many query heads share the keys and values of one group."""

    count: int
    groups: int
    size: int

    @property
    def shared(self) -> int:
        """Query heads in a group."""
        return self.count // self.groups


def require_layers(config: Mapping[str, Any]) -> int:
    """Return the number of layers. Raises UnusableModel when the architecture cannot lose any."""
    kind = config.get("model_type")
    if kind not in LAYERED:
        raise UnusableModel(
            f"layers of {kind} cannot be pruned: its layers are not one stack that config.json counts",
            hint=f"architectures that can be pruned are {', '.join(sorted(LAYERED))}",
        )
    return int(config[count_key(config)])


def count_key(config: Mapping[str, Any]) -> str:
    """Return how config.json calls the number of layers. Raises UnusableModel when it states none."""
    for key in COUNTS:
        if isinstance(config.get(key), int):
            return key
    raise UnusableModel(f"config.json states no number of layers (looked for {', '.join(COUNTS)})")


def require_heads(config: Mapping[str, Any]) -> Heads:
    """Return the heads of every layer. Raises UnusableModel when the architecture cannot lose any."""
    kind = config.get("model_type")
    if kind not in HEADED:
        raise UnusableModel(
            f"attention heads of {kind} cannot be pruned: its config cannot say that there are fewer",
            hint=f"architectures whose heads can be pruned are {', '.join(sorted(HEADED))}; layers can be in more",
        )
    count = int(config["num_attention_heads"])
    groups = int(config.get("num_key_value_heads") or count)
    return Heads(count, groups, int(config.get("head_dim") or config["hidden_size"] // count))


def check_head_count(heads: Heads, hidden: int, wanted: int) -> None:
    """Raise BadSettings when so many heads cannot go: whole groups do, and the rest must divide the model's size."""
    possible = [n for n in range(heads.shared, heads.count, heads.shared) if hidden % (heads.count - n) == 0]
    if wanted not in possible:
        raise BadSettings(
            f"--prune-heads {wanted}: of {heads.count} heads in {heads.groups} groups that many cannot go",
            hint=f"possible are {', '.join(map(str, possible))}" if possible else "this model can lose no heads",
        )
