"""Greedy answers of the served model beside those of `generate`.

    python -m tests.bench.runtime.agreement MODEL DTYPE COUNT

A process of its own, because it imports torch. Task, scheduler, runner and packed layers are those of the server, and
all prompts wait at once, so that they share batches of changing sizes and lengths; `generate` gets the plain model, and
prompts of one length at a time, so that nothing is padded. An answer counts as the same when every token is.

Where one is not, the plain model is asked by how much it preferred its own token to ours (`gap`), and how far its
logits are there from those of the same weights in the next finer dtype (`error`): a gap below twice that error is the
dtype's doing, since the plain model cannot tell the two tokens apart either.

Prints progress to standard error, and a JSON object: `same`, `of`, and `differences` with `prompt`, `place`, `gap` and
`error`.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from itertools import product, takewhile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from modelservice_runtime.config import Settings
from modelservice_runtime.models.folder import open_folder
from modelservice_runtime.preparing.served import ServedModel
from modelservice_runtime.tasks.base import find_task
from modelservice_runtime.tasks.inputs import GenerationOptions, TextPrompts
from tests.bench.runtime.words import COMMON, text

NEW_TOKENS, AT_ONCE = 16, 16
CONTEXTS = (0, 3, 0, 12, 0, 40, 0, 6, 0, 120)
"""Words of a text that goes before the question, in turns."""
ASKS = (
    "Explain {} to a child.",
    "Write two sentences about the {}.",
    "Why do people like a {}?",
    "Give three facts about the {}, and say how sure you are of each.",
    "{}?",
    "List words that go with {}.",
    "Tell a story about a {} that begins in a small village at night, when nobody is awake but a cat.",
    "What is the history of the {}?",
    "Translate '{}' to French.",
    "Compare a {} with a cloud.",
    "Is {} a noun or a verb? Answer with one word.",
    "Complete the sentence: The {} was",
    "Write JSON with the keys name and size for a {}.",
)


def questions(count: int) -> list[str]:
    """Return as many different prompts, from a word to some hundred and fifty words long, the same in every run."""
    pairs = list(product(ASKS, COMMON))[:count]
    contexts = (text(CONTEXTS[place % len(CONTEXTS)], place) for place in range(count))
    return [f"{context} {ask.format(word)}".strip() for context, (ask, word) in zip(contexts, pairs, strict=True)]


def tokenized(folder: Path, count: int) -> list[list[int]]:
    """Return the prompts as the chat template writes them."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [
        list(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
            )
        )
        for question in questions(count)
    ]


def ours(folder: Path, dtype: str, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return what the served model answers when all prompts wait at once."""
    settings = Settings.model_validate({"model": {"path": str(folder)}, "engine": {"dtype": dtype}})
    served = ServedModel(find_task("text-generation"), open_folder(folder), settings)
    options = GenerationOptions(NEW_TOKENS, 0.0, 1.0, 0, 0, (), 1)
    return [list(completion.tokens) for completion in served.answer(TextPrompts(prompts, options)).answers]


def compare(model: Any, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> Iterator[dict[str, float]]:
    """Yield a difference for each answer that is not what `generate` makes of the prompt."""
    stated = model.generation_config.eos_token_id
    ends = [stated] if isinstance(stated, int) else list(stated or ())
    done = 0
    for group in alike(prompts):
        made = generate(model, [prompts[index] for index in group])
        for index, tokens in zip(group, made, strict=True):
            wanted, got = ended(tokens, ends), ended(answers[index], ends)
            if wanted != got:
                place = next(at for at, pair in enumerate(zip(wanted, got, strict=False)) if pair[0] != pair[1])
                gap, error = weigh(model, [*prompts[index], *wanted[:place]], wanted[place], got[place])
                yield {"prompt": index, "place": place, "gap": gap, "error": error}
        done += len(group)
        print(f"{done} of {len(prompts)}", file=sys.stderr, flush=True)


def alike(prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the numbers of prompts that are of one length, a few at a time."""
    by_length: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(index)
    for same in by_length.values():
        for first in range(0, len(same), AT_ONCE):
            yield same[first : first + AT_ONCE]


def generate(model: Any, prompts: Sequence[list[int]]) -> list[list[int]]:
    """Return what transformers' `generate` adds to prompts of one length."""
    ids = torch.tensor(prompts)
    mask = torch.ones_like(ids)
    made = model.generate(ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0)
    tokens: list[list[int]] = made[:, ids.shape[1] :].tolist()
    return tokens


def ended(tokens: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Return an answer up to its end token, and with it where the answer is shorter than what was asked for."""
    kept = list(takewhile(lambda token: token not in ends, tokens))
    return kept if len(kept) == NEW_TOKENS else [*kept, *ends[:1]]


def weigh(model: Any, before: list[int], wanted: int, got: int) -> tuple[float, float]:
    """Return by how much the plain model prefers its own token, and the largest error of its logits."""
    ids = torch.tensor([before])
    logits = model(input_ids=ids).logits[0, -1].double()
    exact = finer(model)(input_ids=ids).logits[0, -1].double()
    return float(logits[wanted] - logits[got]), float((logits - exact).abs().max())


@cache
def finer(model: Any) -> Any:
    """Return a copy of a model that computes the same weights in the next finer dtype."""
    return deepcopy(model).to(torch.float64 if model.dtype == torch.float32 else torch.float32)


def main() -> None:
    """Compare and print."""
    folder, dtype, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    prompts = tokenized(folder, count)
    answers = ours(folder, dtype, prompts)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    with torch.inference_mode():
        differences = list(compare(model, prompts, answers))
    print(json.dumps({"same": count - len(differences), "of": count, "differences": differences}))


if __name__ == "__main__":
    main()
