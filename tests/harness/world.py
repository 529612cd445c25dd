"""What of this machine a cluster might leave behind."""

import subprocess
from pathlib import Path


def machine() -> dict[str, set[str]]:
    """Links, tables, routes, mounts, namespaces, control groups, settings and folders that nodes share with it."""
    commands = {
        "links": ["ip", "-o", "link"],
        "routes": ["ip", "route"],
        "tables": ["nft", "list", "tables"],
        "namespaces": ["ip", "netns"],
    }
    found = {
        what: set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())
        for what, command in commands.items()
    }
    found["links"] = {line.split()[1] for line in found["links"]}
    found["mounts"] = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    found["groups"] = {str(path) for path in Path("/sys/fs/cgroup").glob("*/*") if path.is_dir()}
    found["folders"] = {str(path) for base in ("/run", "/var/lib", "/opt", "/etc") for path in Path(base).iterdir()}
    found["settings"] = {
        f"{file}: {Path(file).read_text().strip()}"
        for file in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/panic")
    }
    return found


def added(before: dict[str, set[str]]) -> dict[str, set[str]]:
    """What the machine has now and had not before."""
    return {what: now - before[what] for what, now in machine().items() if now - before[what]}


def processes_of(*words: str) -> list[str]:
    """The command lines of running processes that contain one of the words."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if any(word in line for word in words):
            lines.append(line)
    return lines
