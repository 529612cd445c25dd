import pytest

from modelservice_operator.__main__ import main
from modelservice_operator.settings import BadSettings, load_settings


def test_defaults_are_usable_when_nothing_is_given() -> None:
    settings = load_settings({})
    assert settings.workers == 16
    assert settings.watch_namespaces == ()
    assert settings.identity


def test_flag_wins_when_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSERVICE_OPERATOR_WORKERS", "3")
    monkeypatch.setenv("MODELSERVICE_OPERATOR_WATCH_NAMESPACES", "a, b")
    assert load_settings({}).workers == 3
    assert load_settings({"workers": "5"}).workers == 5
    assert load_settings({}).watch_namespaces == ("a", "b")


def test_identity_and_namespace_are_the_pods_when_it_runs_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "operator-7")
    monkeypatch.setenv("POD_NAMESPACE", "serving")
    settings = load_settings({})
    assert (settings.identity, settings.namespace) == ("operator-7", "serving")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"workers": "many"}, ["--workers", "MODELSERVICE_OPERATOR_WORKERS", "'many'"]),
        ({"listen_port": "0"}, ["--listen-port"]),
        ({"image_pull_policy": "Sometimes"}, ["--image-pull-policy", "Always"]),
        ({"renew_deadline": "20"}, ["lease_duration", "renew_deadline"]),
    ],
)
def test_message_names_the_setting_when_its_value_does_not_fit(flags: dict[str, str], words: list[str]) -> None:
    with pytest.raises(BadSettings) as raised:
        load_settings(flags)
    assert all(word in str(raised.value) for word in words)


def test_exit_status_is_64_when_a_setting_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--workers", "none"]) == 64
    assert "--workers" in capsys.readouterr().err


def test_version_is_printed_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.strip()[0].isdigit()
