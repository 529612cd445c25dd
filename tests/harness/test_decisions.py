"""What the harness decides before it does anything: provider, missing programs, resolvers, CRDs, binaries."""

import shutil
from pathlib import Path

import pytest

from tests.cluster import binaries, crds, dns, packages, providers
from tests.cluster.errors import ClusterError, ToolMissingError


def engine(folder: Path, exit_code: int) -> None:
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("exit_code", "mode", "provider"), [(0, "node", "kind"), (1, "node", "local"), (0, "control-plane", "local")]
)
def test_kind_is_chosen_only_when_the_engine_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exit_code: int, mode: str, provider: str
) -> None:
    engine(tmp_path, exit_code)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("MODELSERVICE_CLUSTER", raising=False)
    assert providers.choose_provider(mode) == provider


@pytest.mark.parametrize("given", providers.PROVIDERS)
def test_variable_overrides_when_set(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("MODELSERVICE_CLUSTER", given)
    assert providers.choose_provider("node") == given


def test_error_names_the_choices_when_the_variable_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSERVICE_CLUSTER", "minikube")
    with pytest.raises(ClusterError, match="local, kind, existing"):
        providers.choose_provider("node")


def test_only_absent_programs_are_installed_when_some_are_there() -> None:
    absent = packages.missing(packages.NODE, present=lambda need: need.program not in ("runc", "nft"))
    assert packages.install_command(absent)[-2:] == ["nftables", "runc"]


def test_error_has_the_command_when_nothing_can_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match=r"mmdebstrap \(makes the base image.*apt-get install .* mmdebstrap"):
        packages.ensure(packages.BASE_IMAGE)


def test_error_says_what_to_install_when_there_is_no_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolMissingError, match="install Go"):
        binaries.go_program()


def test_error_lists_the_tools_when_one_is_unknown() -> None:
    with pytest.raises(ToolMissingError, match=r"no docker here; there are .*kubectl"):
        binaries.ensure(["docker"])


def test_digest_of_binaries_changes_when_the_tags_do() -> None:
    module = binaries.MODULES[1]
    assert module.digest() != binaries.Module(module.folder, module.programs, "other").digest()


def test_version_of_the_programs_is_the_locked_one() -> None:
    flags = " ".join(binaries.MODULES[0].flags())
    assert "component-base/version.gitVersion=v1." in flags


def test_resolver_is_skipped_when_a_node_cannot_reach_it(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    real.write_text("nameserver 192.0.2.53\n")
    assert dns.upstream((stub, real)) == real
    with pytest.raises(ClusterError, match="loopback"):
        dns.upstream((stub,))


def test_download_is_refused_when_its_hash_is_not_the_locked_one(monkeypatch: pytest.MonkeyPatch) -> None:
    source = crds.SOURCES["servicemonitor"]
    changed = crds.Source(source.module, source.version, "h1:other=", source.path)
    monkeypatch.setitem(crds.SOURCES, "servicemonitor", changed)
    with pytest.raises(ClusterError, match="was changed"):
        crds.manifests("servicemonitor")
