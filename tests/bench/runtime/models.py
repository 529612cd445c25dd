"""Where the models lie: the demo models, and those made on the spot, in the cache, in each dtype that is measured."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.models.build import build_model

HERE = Path(__file__).parent
RECIPE_FILES = ("making.py", "words.py")
DEMOS = ("demo-chat", "demo-embed", "demo-whisper", "demo-sentiment", "demo-image")


def cache() -> Path:
    """Return the folder of everything that is kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MODELSERVICE_CACHE") or Path(root) / "modelservice")


def model_folder(name: str, dtype: str = "") -> Path:
    """Return the folder of a model, making it first when it is not there; cast to `dtype` when one is named."""
    source = build_model(name) if name in DEMOS else _made(name)
    if not dtype:
        return source
    return _kept(f"{name}-{dtype}", _digest(str(source)), lambda folder: _cast(source, folder, dtype))


def _made(name: str) -> Path:
    digest = _digest(*((HERE / file).read_text() for file in RECIPE_FILES))
    return _kept(name, digest, lambda folder: _run("-m", "tests.bench.runtime.making", name, str(folder)))


def _cast(source: Path, folder: Path, dtype: str) -> None:
    _run("-m", "modelservice_runtime", "optimize", str(source), str(folder), "--dtype", dtype)


def _kept(name: str, digest: str, fill: Callable[[Path], None]) -> Path:
    target = cache() / "bench" / f"{name}-{digest}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        fill(scratch)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _run(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr[-2000:]}")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
