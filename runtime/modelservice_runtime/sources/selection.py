"""Decides which files of a source are taken.

Configuration and tokenizer files are small and always needed, so they always come. Weights come as safetensors unless
`include` names others; formats that run code when they are loaded (pickle and what wraps it) never come, whatever the
patterns say. Patterns are shell patterns over the whole path, where `*` also matches `/`, as the hub's client has them.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.sources.variants import PIPELINE_INDEX, choose_weights

DESCRIPTION = (
    "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.spm", "*.bpe", "*.py", "LICENSE*", "README.md",
)  # fmt: skip
WEIGHTS = ("*.safetensors",)
UNSAFE_SUFFIXES = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".h5", ".keras", ".msgpack", ".mar"}
)


def is_unsafe(path: str) -> bool:
    """Tell whether loading a file of this name may run code that it carries."""
    return PurePosixPath(path).suffix.lower() in UNSAFE_SUFFIXES


def select_files(paths: Iterable[str], include: Sequence[str] = (), exclude: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the paths to take, sorted.

    Raises UnusableModel when no safetensors weights are among them, and says what the source holds instead.
    """
    everything = sorted(paths)
    wanted = (*DESCRIPTION, *(include or WEIGHTS))
    chosen = [
        path
        for path in everything
        if not is_unsafe(path)
        and _matches(path, wanted)
        and not _matches(path, exclude)
        and ".." not in path.split("/")
    ]
    if not include:
        chosen = _drop_second_copies(chosen)
    if not any(path.endswith(".safetensors") for path in chosen):
        raise UnusableModel(_nothing_to_serve(everything, include, exclude))
    return tuple(chosen)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _drop_second_copies(paths: list[str]) -> list[str]:
    """Leave out second copies of weights: those of a pipeline, and `consolidated*` beside `model*`."""
    if PIPELINE_INDEX in paths:
        taken = {path for _, files in choose_weights(paths).values() for path in files}
        return [path for path in paths if path in taken or not path.endswith(".safetensors")]
    if not any(path.startswith("model") and path.endswith(".safetensors") for path in paths):
        return paths
    return [path for path in paths if not fnmatchcase(path, "consolidated*.safetensors")]


def _nothing_to_serve(paths: list[str], include: Sequence[str], exclude: Sequence[str]) -> str:
    if any(path.endswith(".safetensors") for path in paths):
        return f"the patterns include={list(include)} exclude={list(exclude)} leave no safetensors weights"
    unsafe = [path for path in paths if is_unsafe(path)][:3]
    if unsafe:
        return f"the model has no safetensors weights, only {', '.join(unsafe)}, which may run code when loaded"
    return f"the model has no safetensors weights among its {len(paths)} files"
