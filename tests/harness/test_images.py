"""When an image is built again, and what counts as its context."""

import os
from pathlib import Path

import pytest

from tests.cluster import digests, ignore, images
from tests.cluster.errors import ClusterError

DOCKERFILE = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY . /\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    for name in ("app/main.py", "app/main.pyc", ".git/HEAD", "docs/a.md", "docs/keep.md"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / ".dockerignore").write_text("# comment\n.git\n**/*.pyc\ndocs\n!docs/keep.md\n")
    return tmp_path


def digest(context: Path, base: str = "base:1", **args: str) -> str:
    return digests.input_digest(context, context / "Dockerfile", args, base)


def test_context_leaves_out_what_the_ignore_file_names(context: Path) -> None:
    rules = ignore.rules_for(context, context / "Dockerfile")
    found = {file.relative_to(context).as_posix() for file in ignore.context_files(context, rules)}
    assert found == {"app/main.py", "docs/keep.md", "Dockerfile", ".dockerignore"}


def test_own_ignore_file_wins_when_a_dockerfile_has_one(context: Path) -> None:
    (context / "Dockerfile.dockerignore").write_text("*\n!app/*.py\n")
    rules = ignore.rules_for(context, context / "Dockerfile")
    found = {file.relative_to(context).as_posix() for file in ignore.context_files(context, rules)}
    assert found == {"app/main.py"}


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("a", "a", True),
        ("a", "a/b/c", True),
        ("a", "ab", False),
        ("a", "b/a", False),
        ("**/a", "b/c/a", True),
        ("**/a", "a", True),
        ("*.py", "a.py", True),
        ("*.py", "a/b.py", False),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a?c", "abc", True),
        ("[ab].txt", "b.txt", True),
        ("/a/", "a/b", True),
        ("**", "a/b", True),
    ],
)
def test_pattern_matches_as_documented(pattern: str, path: str, ignored: bool) -> None:
    assert ignore.is_ignored(path, ignore.parse_rules(pattern)) is ignored


def test_digest_stays_when_nothing_that_counts_changes(context: Path) -> None:
    before = digest(context)
    (context / ".git" / "HEAD").write_text("another commit")
    (context / "app" / "main.pyc").write_text("compiled again")
    os.utime(context / "app" / "main.py", (1, 1))
    assert digest(context) == before


def test_digest_changes_when_an_input_does(context: Path) -> None:
    seen = {digest(context), digest(context, base="base:2"), digest(context, TORCH="cpu")}
    (context / "app" / "main.py").write_text("other")
    seen.add(digest(context))
    (context / "app" / "main.py").chmod(0o755)
    seen.add(digest(context))
    (context / "app" / "main.py").rename(context / "app" / "other.py")
    seen.add(digest(context))
    (context / "Dockerfile").write_text(DOCKERFILE + "USER 1\n")
    seen.add(digest(context))
    assert len(seen) == 7


@pytest.mark.parametrize(
    ("tag", "full"),
    [
        ("localhost/a:dev", "localhost/a:dev"),
        ("localhost/a/b", "localhost/a/b:latest"),
        ("host:5000/a", "host:5000/a:latest"),
    ],
)
def test_tag_is_completed_when_short(tag: str, full: str) -> None:
    assert images.normalize(tag) == full


@pytest.mark.parametrize("tag", ["a", "a/b:1"])
def test_tag_is_refused_when_it_names_no_registry(tag: str) -> None:
    with pytest.raises(ClusterError, match=f"localhost/{tag}"):
        images.normalize(tag)
