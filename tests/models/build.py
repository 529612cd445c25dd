"""Builds a demo model once and keeps it in the cache.

A model's folder appears under its name only when it is complete: it is written beside and renamed, so that an
interrupted build leaves nothing that looks finished. A file `.recipe` in it holds the digest of all that the model is
made from (the recipe's source, the packages' pinned digests, committed weights); with the digest unchanged a build is
one file read. A lock lets several processes ask for the same model at the same time.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.models import chat, detect, digits, embed, segment, whisper
from tests.models.caption import write as caption
from tests.models.image import assemble
from tests.models.ner import merge as ner
from tests.models.packages import DownloadError, Package, Step, fetch_package
from tests.models.sentiment import merge
from tests.models.speech import recipe as speech

MARKER = ".recipe"


class BuildError(Exception):
    """A demo model could not be made; the message says why and what to do."""


@dataclass(frozen=True)
class Recipe:
    """How one demo model is made: `write(unpacked package, target folder, step)` from `package` and `sources`.

    Without a package everything that the model is made from is among the sources.
    """

    summary: str
    package: Package | None
    write: Callable[[Path, Path, Step], None]
    sources: tuple[Path, ...]

    def digest(self) -> str:
        """Digest of everything that the model is made from."""
        total = hashlib.sha256(self.package.sha256.encode() if self.package else b"")
        for path in self.sources:
            total.update(path.read_bytes())
        return total.hexdigest()


MODELS: dict[str, Recipe] = {
    "demo-chat": Recipe("SmolLM2-135M-Instruct, bfloat16", chat.PACKAGE, chat.write, chat.SOURCES),
    "demo-detect": Recipe("YOLOS that finds drawn shapes, float32", None, detect.MODEL.write, detect.MODEL.sources),
    "demo-digits": Recipe("ResNet that reads digits, float32", None, digits.MODEL.write, digits.MODEL.sources),
    "demo-embed": Recipe("all-MiniLM-L6-v2, float32", embed.PACKAGE, embed.write, embed.SOURCES),
    "demo-image": Recipe("Stable Diffusion that draws digits, float32", None, assemble.write, assemble.SOURCES),
    "demo-ner": Recipe("MiniLM with a tagger of entities, float32", embed.PACKAGE, ner.write, ner.SOURCES),
    "demo-segment": Recipe("SegFormer of drawn scenes, float32", None, segment.MODEL.write, segment.MODEL.sources),
    "demo-speech": Recipe("wav2vec2 that writes down spoken digits, float32", None, speech.write, speech.SOURCES),
    "demo-whisper": Recipe("Whisper tiny.en, float32", whisper.PACKAGE, whisper.write, whisper.SOURCES),
    "demo-scene": Recipe("LLaVA that describes drawn shapes, float32", None, caption.write, caption.SOURCES),
    "demo-sentiment": Recipe("MiniLM with a sentiment head, float32", embed.PACKAGE, merge.write, merge.SOURCES),
}


def cache_folder() -> Path:
    """The folder that holds the demo models: `$MODELSERVICE_CACHE/models`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("MODELSERVICE_CACHE") or f"{base}/modelservice") / "models"


def package_store() -> Path:
    """The folder that keeps the archives of packages."""
    return cache_folder().parent / "packages"


def build_model(name: str) -> Path:
    """Return the folder of a demo model, making it when it is missing or made from an older recipe.

    Raises KeyError for an unknown name and BuildError when the model cannot be made.
    """
    if name not in MODELS:
        raise KeyError(f"no demo model {name!r}; there are {', '.join(MODELS)}")
    recipe, target = MODELS[name], cache_folder() / name
    digest = recipe.digest()
    if _is_current(target, digest):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock")):
        if not _is_current(target, digest):
            _make(name, recipe, target, digest)
    return target


def _is_current(target: Path, digest: str) -> bool:
    marker = target / MARKER
    return marker.is_file() and marker.read_text().strip() == digest


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(name: str, recipe: Recipe, target: Path, digest: str) -> None:
    start = time.monotonic()
    console = Console(file=sys.stderr)
    for leftover in target.parent.glob(f".{name}-*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as scratch, _progress(console) as progress:
        work, result = Path(scratch) / "package", Path(scratch) / "model"
        result.mkdir()
        task = progress.add_task(name, total=None, what="")

        def step(what: str, done: int = 0, total: int | None = None) -> None:
            progress.update(task, completed=done, total=total, what=what)

        try:
            if recipe.package is not None:
                fetch_package(recipe.package, package_store(), work, step)
            recipe.write(work, result, step)
        except (DownloadError, OSError, ValueError) as error:
            raise BuildError(f"{error}") from error
        (result / MARKER).write_text(digest + "\n")
        _replace(target, result)
    size = sum(path.stat().st_size for path in target.rglob("*"))
    console.print(f"{name}: {size / 1e6:.0f} MB in {time.monotonic() - start:.1f} s")


def _replace(target: Path, result: Path) -> None:
    """Put the finished folder in place; a reader sees the old one, for an instant none, or the new one."""
    for path in (result, *result.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    if target.exists():
        target.rename(result.with_name("old"))
    result.rename(target)


def _progress(console: Console) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(30), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.fields[what]}"), console=console, transient=True)
