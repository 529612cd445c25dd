"""The README's blocks are run: YAML is applied, shell is executed, in the order in which a reader meets them."""

import os
import re
import subprocess

import pytest

from tests.cluster import Cluster
from tests.quickstart import install, services
from tests.quickstart.images import ROOT

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MAKE_VERB = re.compile(r"^make ([a-z-]+)", re.MULTILINE)


def blocks(language: str) -> list[str]:
    return [body for found, body in BLOCK.findall((ROOT / "README.md").read_text()) if found == language]


def test_every_make_verb_of_the_readme_is_in_the_makefile() -> None:
    verbs = {verb for body in blocks("sh") for verb in MAKE_VERB.findall(body)}
    listed = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"quickstart", "test"} <= verbs <= listed


def test_yaml_is_accepted_when_applied(platform: Cluster) -> None:
    found = blocks("yaml")
    assert found
    for body in found:
        platform.kubectl("apply", "--dry-run=server", "-f", "-", input=body)


def test_shell_blocks_run_when_typed_after_quickstart(platform: Cluster) -> None:
    install.ensure_namespace(platform, "demo")
    services.apply(platform, ROOT / "manifests" / "demo" / "demo-chat.yaml")
    services.wait_for(platform, "demo", "demo-chat", services.is_ready)
    scripts = [body for body in blocks("sh") if not MAKE_VERB.search(body)]
    assert scripts
    environment = {**os.environ, "KUBECONFIG": str(platform.kubeconfig), "PATH": f"{platform.bin}:{os.environ['PATH']}"}
    try:
        for script in scripts:
            ran = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
            assert ran.returncode == 0, f"{script}\n{ran.stdout}\n{ran.stderr}"
    finally:
        platform.kubectl("delete", "namespace", "demo", "--wait=true", "--timeout=90s")
