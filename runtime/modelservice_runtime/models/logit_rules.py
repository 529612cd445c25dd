"""The rules that a model's generation_config.json sets for every answer, by transformers' own processors.

Marian forbids its padding token, BART for summaries forbids repeated phrases and short answers: without these rules
the model's answers are not those that its authors measured. Sampling parameters are not among them: the request has its
own.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig


class ConfiguredRules:
    """Implements `LogitRules` with a list of transformers' logits processors."""

    def __init__(self, processors: Any, device: Any) -> None:
        self._processors = processors
        self._device = device

    def apply(self, tokens: Sequence[int], logits: Any) -> Any:
        """Run the processors on one row."""
        return self._processors(torch.tensor([tokens], device=self._device), logits[None])[0]


def read_rules(model: Any, prompt_length: int) -> ConfiguredRules | None:
    """Return the rules for answers after a decoder's prompt of this length, None when the model sets none."""
    config = GenerationConfig.from_dict(model.generation_config.to_dict())
    config.do_sample, config.num_beams = False, 1
    config.max_new_tokens, config.max_length, config.forced_eos_token_id = None, None, None
    ends = config.eos_token_id
    if ends is not None:
        config._eos_token_tensor = torch.tensor([ends] if isinstance(ends, int) else ends, device=model.device)
    processors = model._get_logits_processor(
        generation_config=config,
        input_ids_seq_length=prompt_length,
        device=str(model.device),
        model_kwargs={},
    )
    return ConfiguredRules(processors, model.device) if processors else None
