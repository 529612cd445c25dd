"""Settings come from flags, environment and file in that order; a mistake is told with its place and the way out."""

from pathlib import Path

import pytest

from modelservice_runtime.config import Settings, load_settings
from modelservice_runtime.errors import BadSettings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "runtime.yaml"
    path.write_text("model: {path: /models/chat, name: chat}\nserver: {port: 9000}\n")
    return path


def refusal(file: Path) -> str:
    with pytest.raises(BadSettings) as fault:
        load_settings(file=file)
    assert fault.value.exit_code == 64
    assert fault.value.hint
    return str(fault.value)


def test_defaults_hold_when_nothing_is_given() -> None:
    settings = load_settings()
    assert (settings.server.port, settings.server.admin_port, settings.model.task) == (8080, 8081, "auto")


def test_file_overrides_the_defaults_key_by_key(file: Path) -> None:
    settings = load_settings(file=file)
    assert (settings.server.port, settings.server.admin_port, settings.served_name) == (9000, 8081, "chat")


def test_environment_overrides_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSERVICE_SERVER__PORT", "9100")
    settings = load_settings(file=file)
    assert (settings.server.port, settings.model.path) == (9100, "/models/chat")


def test_flags_override_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSERVICE_SERVER__PORT", "9100")
    monkeypatch.setenv("MODELSERVICE_SERVER__HOST", "127.0.0.1")
    settings = load_settings({"server": {"port": "9200"}}, file=file)
    assert (settings.server.port, settings.server.host) == (9200, "127.0.0.1")


def test_served_name_is_the_folder_when_none_is_given() -> None:
    assert load_settings({"model": {"path": "/models/bert"}}).served_name == "bert"


def test_settings_do_not_change_once_they_are_loaded() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().server.port = 1


def test_foreign_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSERVICE_PORT", "tcp://10.0.0.1:80")
    monkeypatch.setenv("MODELSERVICE_CACHE", "/cache")
    assert load_settings().server.port == 8080


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("server: {port: 99999}", ("server.port", "less than or equal to 65535", "99999", "runtime.yaml")),
        ("server: {prot: 80}", ("server.prot", "unknown key", "did you mean 'port'")),
        ("servr: {port: 80}", ("servr", "unknown key", "did you mean 'server'")),
        ("nonsense: 1", ("nonsense", "known: model, engine")),
        ("engine: {dtype: int3}", ("engine.dtype", "'bfloat16'", "int3")),
        ("engine: 3", ("engine",)),
        ("server: {port: 8081}", ("server.port and server.admin_port are both 8081",)),
        ("server: {grpc_port: 8081}", ("server.admin_port and server.grpc_port are both 8081",)),
        ("lifecycle: {drain_seconds: .inf}", ("lifecycle.drain_seconds",)),
        ("lifecycle: {drain_seconds: -1}", ("lifecycle.drain_seconds", "greater than or equal to 0")),
        ("- a list", ("must hold a mapping",)),
        ("a: {b", ("is not YAML",)),
    ],
)
def test_file_is_refused_with_key_problem_and_place(tmp_path: Path, content: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "runtime.yaml"
    path.write_text(content)
    message = refusal(path)
    assert all(word in message for word in words), message


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "runtime.yaml"
    path.write_text("server: {port: x}\nlimits: {max_queue: 0}\n")
    message = refusal(path)
    assert "server.port" in message
    assert "limits.max_queue" in message


def test_variable_is_named_when_its_value_is_wrong(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSERVICE_LIMITS__MAX_QUEUE", "many")
    assert "variable MODELSERVICE_LIMITS__MAX_QUEUE" in refusal(file)


def test_variable_is_named_when_its_key_is_unknown(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSERVICE_LIMITS__MAX_QUEU", "1")
    message = refusal(file)
    assert "MODELSERVICE_LIMITS__MAX_QUEU" in message
    assert "did you mean 'max_queue'" in message


def test_variable_is_named_when_its_section_is_unknown(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSERVICE_LIMTS__MAX_QUEUE", "1")
    assert "MODELSERVICE_LIMTS__MAX_QUEUE" in refusal(file)


def test_file_must_exist_when_it_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.yaml")


def test_file_is_refused_when_it_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize(
    "adapters", ["a=/x, org/b=/y", ["a=/x", {"name": "org/b", "path": "/y"}], [" a = /x ", "org/b=/y"]]
)
def test_adapters_are_named_folders_in_either_form(adapters: object) -> None:
    settings = load_settings({"model": {"path": "/m", "adapters": adapters, "aliases": ["c", "d"]}})
    assert settings.adapters == {"a": "/x", "org/b": "/y"}
    assert settings.aliases == ("c", "d")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"adapters": "a"}, "name=folder"),
        ({"adapters": [{"name": "a"}]}, "name and path"),
        ({"adapters": ["a=/x,y"]}, "comma"),
        ({"aliases": "two words"}, "alias"),
        ({"aliases": "m"}, "'m' twice"),
        ({"aliases": "a", "adapters": "a=/x"}, "'a' twice"),
        ({"adapters": "a=/x,a=/y"}, "'a' twice"),
    ],
)
def test_names_are_refused_when_they_cannot_be_told_apart(model: dict[str, object], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        load_settings({"model": {"path": "/m", **model}})
