"""Which of the copies of its weights a pipeline of diffusers is served from.

Repositories hold the same weights several times: in another precision (`...fp16.safetensors`), pickled, or all in one
file for other programs. One copy is taken, the plain one when it is there. The safety checker, which some pipelines
come with, is a model of its own and is not loaded, so it is not fetched either; the server's log says so.
"""

import re
from collections.abc import Iterable

PIPELINE_INDEX = "model_index.json"
NOT_LOADED = ("safety_checker", "feature_extractor", "image_encoder")
SHARD = r"(?:-\d{{5}}-of-(?P<{}>\d{{5}}))?"
WEIGHTS = re.compile(
    r"(?P<part>[\w-]+)/(?:diffusion_pytorch_model|model)"
    + SHARD.format("before")
    + r"(?:\.(?P<variant>\w+))?"
    + SHARD.format("after")
    + r"\.safetensors"
)
PREFERRED = ("", "fp16", "bf16")


def choose_weights(paths: Iterable[str]) -> dict[str, tuple[str, list[str]]]:
    """Return, for each part, the variant of its weights that is served (often empty) and the files of it."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(paths):
        match = WEIGHTS.fullmatch(path)
        if match and match["part"] not in NOT_LOADED:
            found.setdefault(match["part"], {}).setdefault(match["variant"] or "", []).append(path)
    chosen = {}
    for part, variants in found.items():
        variant = next((name for name in PREFERRED if name in variants), min(variants))
        chosen[part] = (variant, variants[variant])
    return chosen


def count_shards(path: str) -> int:
    """Return of how many files the name of one tells."""
    match = WEIGHTS.fullmatch(path)
    return int((match and (match["before"] or match["after"])) or 1)
