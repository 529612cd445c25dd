"""Starting, watching and ending the processes of a cluster.

Each process is started in a session of its own with its output in a log file, and carries the cluster's token in its
environment. Ending goes by two independent traces: the recorded (id, start) pairs, and the token found in /proc. The
second finds what an interruption kept from being recorded; neither can hit a stranger that got a recycled id.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError, ProcessDiedError
from tests.cluster.state import Child, State

TOKEN = "MODELSERVICE_CLUSTER_TOKEN"
_TAIL_LINES = 20
# Handles of what this Python process started: a dropped one would warn that its process still runs, which is meant.
_STARTED: list[tuple[str, "subprocess.Popen[bytes]"]] = []


def started_at(pid: int) -> int | None:
    """When the process began (clock ticks after boot, field 22 of /proc/PID/stat); None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(child: Child) -> bool:
    """Whether this very process still runs."""
    return started_at(child.pid) == child.started


def tail(file: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log, indented; empty when there is no such file."""
    if not file.exists():
        return ""
    with file.open("rb") as handle:
        handle.seek(max(0, file.stat().st_size - 16384))
        text = handle.read().decode(errors="replace")
    return "\n".join(f"    {line[:400]}" for line in text.splitlines()[-lines:])


def log_file(state: State, name: str) -> Path:
    """Where the process `name` of the cluster writes."""
    return state.folder / "log" / f"{name}.log"


def start(state: State, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Child:
    """Start a process of the cluster and record it.

    Raises:
        ClusterError: the program is not there.
    """
    file = log_file(state, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **(env or {}), TOKEN: state.token}
    with file.open("ab") as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=state.folder,
                env=environment,
                start_new_session=True,
            )
        except OSError as problem:
            raise ClusterError(f"{name}: {command[0]} cannot be started: {problem}") from problem
    _STARTED.append((state.token, process))
    child = Child(name, process.pid, started_at(process.pid) or 0)
    state.add_child(child)
    return child


def check_alive(state: State, names: Iterable[str] | None = None) -> None:
    """Do nothing when the recorded processes (or those named) run.

    Raises:
        ProcessDiedError: one has ended; the message has the end of its log.
    """
    wanted = None if names is None else set(names)
    for child in state.children:
        if (wanted is None or child.name in wanted) and not is_alive(child):
            file = log_file(state, child.name)
            raise ProcessDiedError(f"{child.name} of cluster {state.name} ended; the end of {file}:\n{tail(file)}")


def wait_until(state: State, what: str, ready: Callable[[], bool], timeout: float, logs: Sequence[str] = ()) -> None:
    """Poll until `ready`, looking meanwhile whether a process of the cluster died.

    Raises:
        ProcessDiedError: one died.
        ClusterError: `timeout` seconds went by; the message has the ends of `logs`.
    """
    deadline = time.monotonic() + timeout
    while not ready():
        check_alive(state)
        if time.monotonic() > deadline:
            ends = "\n".join(f"the end of {log_file(state, name)}:\n{tail(log_file(state, name))}" for name in logs)
            raise ClusterError(f"{what}: not ready after {timeout:.0f} s\n{ends}")
        time.sleep(0.05)


def marked(token: str) -> list[int]:
    """The ids of all processes that carry the cluster's token, ours excepted."""
    needle = f"{TOKEN}={token}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            entries = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if needle in entries:
            found.append(int(folder.name))
    return found


def stop_all(state: State) -> None:
    """Kill every process of the cluster at once: what they would tidy up is removed anyway, and stores survive.

    Raises:
        ClusterError: one survived.
    """
    _kill_until_gone(lambda: _remaining(state))
    _collect(state.token)


def stop_marked(token: str) -> None:
    """Kill every process that carries the token: what is left to do when the state file cannot be read.

    Raises:
        ClusterError: one survived.
    """
    _kill_until_gone(lambda: marked(token))
    _collect(token)


def _kill_until_gone(remaining: Callable[[], list[int]]) -> None:
    deadline = time.monotonic() + 20.0
    while left := remaining():
        for pid in left:
            _kill(pid)
        if time.monotonic() > deadline:
            raise ClusterError(f"processes {left} survive SIGKILL; look at them with `ps -o pid,stat,wchan,args`")
        time.sleep(0.05)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _remaining(state: State) -> list[int]:
    known = {child.pid for child in state.children if is_alive(child)}
    return sorted(known | set(marked(state.token)))


def _collect(token: str) -> None:
    """Collect the killed that this Python process started: their threads may end a moment after they count as gone."""
    for entry in [entry for entry in _STARTED if entry[0] == token]:
        entry[1].wait(timeout=20)
        _STARTED.remove(entry)
