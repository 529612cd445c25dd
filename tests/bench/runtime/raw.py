"""Raw loops over a model, without a server: `python -m tests.bench.runtime.raw MODEL DTYPE KIND`.

A process of its own that reads a JSON object a line from its standard input, measures, and answers with one. `packed`
loops are the ceiling. KIND is `decoder`, `encoder`, or `pipeline` for a pipeline of diffusers.
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


def draw(model: Any, _: Any, *, steps: int, seconds: float) -> dict[str, float]:
    """Draw pictures one after the other for some seconds, as a program without a server does."""
    runs, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        model("a seven", num_inference_steps=steps, generator=torch.Generator().manual_seed(runs))
        runs += 1
    return {"per_second": runs / (time.perf_counter() - began)}


LOOPS = {"decode": decode, "encode": encode, "encode_in_order": encode_in_order, "draw": draw}


def load(path: str, dtype: str, kind: str, packing: str) -> tuple[Any, Any, bool]:
    """Return a model, its tokenizer (a pipeline has its own), and whether its layers are packed."""
    if kind == "pipeline":
        from diffusers import DiffusionPipeline  # noqa: PLC0415 - takes seconds, and the other kinds do without

        pipeline = DiffusionPipeline.from_pretrained(path, torch_dtype=getattr(torch, dtype))
        pipeline.set_progress_bar_config(disable=True)
        return pipeline, None, packing == "packed" and pack(pipeline.unet)
    model = AUTO[kind].from_pretrained(path, dtype=getattr(torch, dtype)).eval()
    return model, AutoTokenizer.from_pretrained(path), packing == "packed" and pack(model)


def main() -> None:
    """Load, tell that it is done, then measure what is asked for."""
    path, dtype, kind, packing = sys.argv[1:]
    model, tokenizer, packed = load(path, dtype, kind, packing)
    with torch.no_grad():
        print(json.dumps({"packed": packed}), flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            print(json.dumps(LOOPS[asked.pop("loop")](model, tokenizer, **asked)), flush=True)


if __name__ == "__main__":
    main()
