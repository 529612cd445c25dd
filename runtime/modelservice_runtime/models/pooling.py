"""From token vectors to one vector a text, as sentence-transformers' module list says.

A repository of that kind names its steps in `modules.json`; the pooling's parameters lie in the folder of that step.
Without the file, the mean over the tokens is taken and normalised, which is what most encoders were trained for.
"""

from dataclasses import dataclass
from typing import Any

import torch

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.folder import ModelFolder, read_json, read_json_list

MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt",
    "pooling_mode_weightedmean_tokens": "weighted",
}
SUPPORTED = ("mean", "cls", "max", "last", "mean_sqrt")


@dataclass(frozen=True, slots=True)
class Pooling:
    """How token vectors become one; `longest` is the token limit that the repository states, 0 for none."""

    mode: str = "mean"
    normalise: bool = True
    longest: int = 0

    def apply(self, hidden: Any, mask: Any) -> Any:
        """Pool hidden states [rows, tokens, size] under a mask [rows, tokens] into float32 [rows, size]."""
        hidden = hidden.float()
        weights = mask.unsqueeze(-1).float()
        match self.mode:
            case "cls":
                pooled = hidden[:, 0]
            case "max":
                pooled = hidden.masked_fill(weights == 0, float("-inf")).amax(dim=1)
            case "last":
                pooled = hidden[torch.arange(hidden.shape[0], device=hidden.device), mask.sum(dim=1) - 1]
            case "mean_sqrt":
                pooled = (hidden * weights).sum(dim=1) / weights.sum(dim=1).sqrt()
            case _:
                pooled = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return torch.nn.functional.normalize(pooled, dim=1) if self.normalise else pooled


def read_pooling(folder: ModelFolder) -> Pooling:
    """Read modules.json and the pooling's parameters. Raises UnusableModel for steps that are not supported."""
    modules = read_json_list(folder.path / "modules.json")
    if modules is None:
        return Pooling()
    longest = int((read_json(folder.path / "sentence_bert_config.json") or {}).get("max_seq_length") or 0)
    mode, normalise = "mean", False
    for module in modules:
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        if kind == "Pooling":
            mode = _pooling_mode(folder, str(module.get("path", "")))
        elif kind == "Normalize":
            normalise = True
        elif kind != "Transformer":
            raise UnusableModel(f"modules.json of {folder.path} has the step {kind}, which is not supported")
    return Pooling(mode, normalise, longest)


def _pooling_mode(folder: ModelFolder, path: str) -> str:
    config = read_json(folder.path / path / "config.json") or {}
    stated = config.get("pooling_mode")
    modes = [stated] if isinstance(stated, str) else [mode for key, mode in MODES.items() if config.get(key)]
    if len(modes) != 1 or modes[0] not in SUPPORTED:
        raise UnusableModel(
            f"the pooling of {folder.path} is {' + '.join(modes) or 'not stated'}; "
            f"supported is one of {', '.join(SUPPORTED)}"
        )
    return modes[0]
