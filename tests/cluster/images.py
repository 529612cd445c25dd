"""Images for a node: built by BuildKit straight into the kubelet's store, with no registry, no push and no import."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TextIO

from tests.cluster import binaries, digests, packages, process, stores
from tests.cluster.errors import ClusterError
from tests.cluster.node import PAUSE
from tests.cluster.progress import say, step
from tests.cluster.state import State, cache_root, locked

_SUITE = "trixie"
_PACKAGES = "python3,python3-venv,ca-certificates,libgomp1"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_STEP = re.compile(r"#(\d+) (\[.*)")
_DONE = re.compile(r"#(\d+) (DONE [\d.]+s|CACHED|ERROR.*)")
_PAUSE_SOURCE = """#include <signal.h>
#include <unistd.h>
static void stop(int number) { (void)number; _exit(0); }
int main(void) { signal(SIGTERM, stop); signal(SIGINT, stop); for (;;) pause(); }
"""


def build_image(state: State, tag: str, context: Path, dockerfile: Path, args: Mapping[str, str]) -> None:
    """Build the image unless the store has it from the same inputs.

    Raises:
        ClusterError: the build failed; the message has the end of its log.
    """
    tag = normalize(tag)
    base = _base_for(state, dockerfile, args)
    wanted = digests.input_digest(context, dockerfile, args, base)
    built = _records(state).get(tag, {})
    if built.get("inputs") == wanted and built.get("image") == stores.images(state, binaries.folder()).get(tag):
        say(f"image {tag}: unchanged")
        return
    with step(f"image {tag}"):
        _build(state, tag, context, dockerfile, {"BASE_IMAGE": base, **args} if base else args)
    _record(state, tag, wanted)


def load(state: State, archive: Path) -> None:
    """Import an image archive into the store.

    Raises:
        ClusterError: it is none.
    """
    with step(f"load {archive.name}"):
        stores.ctr(state, binaries.folder(), "images", "import", str(archive))


def image_digest(state: State, tag: str) -> str:
    """The digest of the image's content in the store.

    Raises:
        ClusterError: the store does not have it.
    """
    found = stores.images(state, binaries.folder()).get(normalize(tag))
    if found is None:
        raise ClusterError(
            f"image {tag}: cluster {state.name} does not have it; build it with `build-image` or import it with `load`"
        )
    return found


def has_image(state: State, tag: str) -> bool:
    """Whether the store has the image."""
    return normalize(tag) in stores.images(state, binaries.folder())


def normalize(tag: str) -> str:
    """The full name under which a store keeps a tag: with a registry and a version.

    Raises:
        ClusterError: the tag names no registry, so which one is meant depends on who reads it.
    """
    first = tag.partition("/")[0]
    if "/" not in tag or not ("." in first or ":" in first or first == "localhost"):
        raise ClusterError(f"image {tag}: name its registry too; for an image made here: localhost/{tag}")
    return tag if ":" in tag.rsplit("/", 1)[-1] else f"{tag}:latest"


def ensure_pause(state: State) -> None:
    """Have the image that holds each pod's sandbox: a program that sleeps until it is asked to end."""
    if has_image(state, PAUSE):
        return
    packages.ensure(packages.PAUSE_IMAGE)
    with step("pause image"), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pause.c").write_text(_PAUSE_SOURCE)
        command = ["gcc", "-static", "-O2", "-o", str(folder / "pause"), str(folder / "pause.c")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"gcc cannot compile the pause program: {done.stderr}")
        (folder / "Dockerfile").write_text('FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n')
        _build(state, PAUSE, folder, folder / "Dockerfile", {})


def _base_for(state: State, dockerfile: Path, args: Mapping[str, str]) -> str:
    if "BASE_IMAGE" in args or not re.search(r"^ARG\s+BASE_IMAGE\b", dockerfile.read_text(), re.MULTILINE):
        return ""
    return ensure_base(state)


def ensure_base(state: State) -> str:
    """Have the image that Dockerfiles with `ARG BASE_IMAGE` build on: Debian, Python, this machine's authorities.

    Returns:
        Its tag, which names its content.
    """
    authorities = _AUTHORITIES.read_bytes() if _AUTHORITIES.exists() else b""
    tag = f"localhost/modelservice-base:{_SUITE}-{digests.content_digest(_PACKAGES.encode() + authorities)[:12]}"
    if has_image(state, tag):
        return tag
    archive = _base_archive()
    with step(f"image {tag}"), tempfile.TemporaryDirectory(dir=archive.parent) as name:
        folder = Path(name)
        os.link(archive, folder / "base.tar")
        (folder / "ca-certificates.crt").write_bytes(authorities)
        lines = ["FROM scratch", "ADD base.tar /"]
        lines += ["COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt"] if authorities else []
        lines += ["ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 'CMD ["python3"]']
        (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
        _build(state, tag, folder, folder / "Dockerfile", {})
    return tag


def _base_archive() -> Path:
    archive = cache_root() / "base" / f"{_SUITE}-{digests.content_digest(_PACKAGES.encode())[:12]}.tar"
    with locked("base-image"):
        if archive.exists():
            return archive
        packages.ensure(packages.BASE_IMAGE)
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(f".{os.getpid()}.partial.tar")
        with step(f"base file system, Debian {_SUITE}, made once"):
            command = [
                "mmdebstrap",
                "--variant=minbase",
                f"--include={_PACKAGES}",
                "--dpkgopt=path-exclude=/usr/share/man/*",
            ]
            done = subprocess.run([*command, _SUITE, str(partial)], capture_output=True, text=True, check=False)
        if done.returncode:
            partial.unlink(missing_ok=True)
            raise ClusterError("mmdebstrap cannot make the base image:\n" + "\n".join(done.stderr.splitlines()[-20:]))
        partial.replace(archive)
    return archive


def _build(state: State, tag: str, context: Path, dockerfile: Path, args: Mapping[str, str]) -> None:
    proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    options = [word for key, value in {**proxies, **args}.items() for word in ("--opt", f"build-arg:{key}={value}")]
    command = [
        *(str(binaries.folder() / "buildctl"), "--addr", f"unix://{state.run_dir}/buildkitd.sock"),
        *("build", "--progress=plain", "--frontend=dockerfile.v0"),
        *(
            "--local",
            f"context={context}",
            "--local",
            f"dockerfile={dockerfile.parent}",
            "--opt",
            f"filename={dockerfile.name}",
        ),
        *("--opt", "force-network-mode=host", "--allow", "network.host", "--opt", "image-resolve-mode=local"),
        *options,
        *("--output", f"type=image,name={tag},unpack=true,compression=uncompressed"),
    ]
    log = process.log_file(state, "build-" + re.sub(r"[^a-z0-9]+", "-", tag))
    with (
        log.open("w") as kept,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as builder,
    ):
        _follow(builder.stdout or (), kept)
    if builder.returncode:
        raise ClusterError(f"image {tag}: the build failed; the end of {log}:\n{process.tail(log, 40)}")


def _follow(lines: Iterable[str], log: TextIO) -> None:
    """Keep all that the builder prints, and show each step with the time it took."""
    titles: dict[str, str] = {}
    for line in lines:
        log.write(line)
        if found := _STEP.match(line):
            titles[found[1]] = found[2].strip()[:110]
            if not found[2].startswith("[internal]"):
                say(f"  {titles[found[1]]}")
        elif (found := _DONE.match(line)) and not titles.get(found[1], "[internal]").startswith("[internal]"):
            say(f"  {titles[found[1]].split(']')[0]}] {found[2].lower()}")


def _records_file(state: State) -> Path:
    return Path(state.store) / "built.json"


def _records(state: State) -> dict[str, dict[str, str]]:
    file = _records_file(state)
    found: dict[str, dict[str, str]] = json.loads(file.read_text()) if file.exists() else {}
    return found


def _record(state: State, tag: str, inputs: str) -> None:
    image = stores.images(state, binaries.folder())[tag]
    with locked(f"store-{Path(state.store).name}"):
        records = {**_records(state), tag: {"inputs": inputs, "image": image}}
        partial = _records_file(state).with_suffix(".partial")
        partial.write_text(json.dumps(records, indent=2))
        partial.replace(_records_file(state))
