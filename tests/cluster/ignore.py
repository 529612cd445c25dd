"""Which files of a build context count: the rules of `.dockerignore`, as BuildKit applies them.

The last pattern that matches decides; `!` takes back; `**` stands for any number of folders; a pattern that names a
folder covers all in it. Source: the Dockerfile reference, section ".dockerignore file".
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Rule:
    """One line of an ignore file."""

    pattern: "re.Pattern[str]"
    keeps: bool


def parse_rules(text: str) -> list[Rule]:
    """Read an ignore file."""
    rules = []
    for line in text.splitlines():
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        keeps = entry.startswith("!")
        cleaned = os.path.normpath(entry.removeprefix("!").strip()).strip("/")
        if cleaned not in ("", "."):
            rules.append(Rule(re.compile(_translate(cleaned) + r"(?:/.*)?\Z", re.DOTALL), keeps))
    return rules


def _translate(pattern: str) -> str:
    expression, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            expression, at = expression + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            expression, at = expression + ".*", at + 2
        elif pattern[at] == "*":
            expression, at = expression + "[^/]*", at + 1
        elif pattern[at] == "?":
            expression, at = expression + "[^/]", at + 1
        elif pattern[at] == "[" and "]" in pattern[at:]:
            end = pattern.index("]", at)
            expression, at = expression + pattern[at : end + 1], end + 1
        else:
            expression, at = expression + re.escape(pattern[at]), at + 1
    return expression


def is_ignored(path: str, rules: Sequence[Rule]) -> bool:
    """Whether the path (relative, with slashes) is left out of the context."""
    ignored = False
    for rule in rules:
        if rule.pattern.match(path):
            ignored = not rule.keeps
    return ignored


def rules_for(context: Path, dockerfile: Path) -> list[Rule]:
    """The rules of a build: `DOCKERFILE.dockerignore` beside the Dockerfile, else `.dockerignore` in the context."""
    for file in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context / ".dockerignore"):
        if file.exists():
            return parse_rules(file.read_text())
    return []


def context_files(context: Path, rules: Sequence[Rule]) -> Iterator[Path]:
    """The files and links of the context that are not left out, in a stable order.

    A folder that is left out is not entered unless some rule takes paths back.
    """
    takes_back = any(rule.keeps for rule in rules)
    for folder, folders, files in os.walk(context):
        base = Path(folder)
        links = [name for name in folders if (base / name).is_symlink()]
        entered = [name for name in sorted(folders) if name not in links]
        folders[:] = [
            name
            for name in entered
            if takes_back or not is_ignored((base / name).relative_to(context).as_posix(), rules)
        ]
        for name in sorted([*files, *links]):
            if not is_ignored((base / name).relative_to(context).as_posix(), rules):
                yield base / name
