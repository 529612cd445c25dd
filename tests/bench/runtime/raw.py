"""Raw loops over a model, without a server: `python -m tests.bench.runtime.raw MODEL DTYPE KIND`.

A process of its own that reads a JSON object a line from its standard input, measures, and answers with one. `packed`
loops are the ceiling. KIND is `decoder` or `encoder`.
"""

import json
import sys
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tests.bench.runtime.packing import pack
from tests.bench.runtime.words import text

AUTO = {"decoder": AutoModelForCausalLM, "encoder": AutoModelForSequenceClassification}


def decode(model: Any, tokenizer: Any, *, rows: int, words: int, steps: int) -> dict[str, float]:
    """Greedily generate `steps` tokens of `rows` prompts at once; the prompts' computation counts."""
    prompts = [[{"role": "user", "content": text(words, row)}] for row in range(rows)]
    lists = [tokenizer.apply_chat_template(p, add_generation_prompt=True, return_dict=False) for p in prompts]
    shortest = min(len(tokens) for tokens in lists)
    ids = torch.tensor([tokens[:shortest] for tokens in lists])
    began = time.perf_counter()
    output = model(input_ids=ids, use_cache=True, logits_to_keep=1)
    for _ in range(steps - 1):
        ids = output.logits[:, -1].argmax(-1, keepdim=True)
        output = model(input_ids=ids, past_key_values=output.past_key_values, use_cache=True)
    took = time.perf_counter() - began
    return {"per_second": rows * steps / took, "step": took / steps}


def encode(model: Any, tokenizer: Any, *, lengths: list[int], seconds: float) -> dict[str, float]:
    """Classify batches of texts of these lengths, each batch in order, padded to its longest, for some seconds."""
    texts = [text(length, index) for index, length in enumerate(lengths)]
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    runs, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        model(**inputs)
        runs += 1
    took = time.perf_counter() - began
    return {"per_second": runs * len(texts) / took, "latency": took / runs}


def encode_in_order(model: Any, tokenizer: Any, *, lengths: list[int], rows: int) -> dict[str, float]:
    """Classify texts in the order of their arrival, `rows` at a time: what batching without regard to length costs."""
    texts = [text(length, index) for index, length in enumerate(lengths)]
    began = time.perf_counter()
    for first in range(0, len(texts), rows):
        model(**tokenizer(texts[first : first + rows], return_tensors="pt", padding=True))
    return {"per_second": len(texts) / (time.perf_counter() - began)}


LOOPS = {"decode": decode, "encode": encode, "encode_in_order": encode_in_order}


def main() -> None:
    """Load, tell that it is done, then measure what is asked for."""
    path, dtype, kind, packing = sys.argv[1:]
    model = AUTO[kind].from_pretrained(path, dtype=getattr(torch, dtype)).eval()
    tokenizer = AutoTokenizer.from_pretrained(path)
    packed = packing == "packed" and pack(model)
    with torch.no_grad():
        print(json.dumps({"packed": packed}), flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            print(json.dumps(LOOPS[asked.pop("loop")](model, tokenizer, **asked)), flush=True)


if __name__ == "__main__":
    main()
