"""Every command ends with an exit code, a JSON termination message and a JSON log, as the operator expects."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelservice_runtime import termination
from modelservice_runtime.config import Settings, flag_name, section_fields
from modelservice_runtime.errors import ExitCode, ModelNotFound, Reason
from modelservice_runtime.termination import LastWord, write_last_word
from tests.runtime.sources.folders import ModelFolder, make_model
from tests.support.hub import Access, Hub

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    log: list[dict[str, Any]]
    word: dict[str, Any] | None


class Runtime:
    """Runs the real command line in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._termination_log = folder / "termination-log"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT / "runtime"),
            termination.TERMINATION_LOG_VARIABLE: str(self._termination_log),
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "modelservice_runtime", *arguments]

    def run(self, *arguments: str, **env: str) -> Outcome:
        done = subprocess.run(
            self.command(*arguments), env={**self.env, **env}, capture_output=True, text=True, timeout=60, check=False
        )
        log = [json.loads(line) for line in done.stderr.splitlines()]
        written = self._termination_log.read_text() if self._termination_log.exists() else ""
        return Outcome(done.returncode, done.stdout, log, json.loads(written) if written else None)


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(tmp_path)


def test_inspect_prints_the_card_and_ends_well(runtime: Runtime, tmp_path: Path) -> None:
    make_model(tmp_path / "m")
    outcome = runtime.run("inspect", str(tmp_path / "m"))
    assert outcome.code == 0
    assert json.loads(outcome.out)["architecture"] == "LlamaForCausalLM"
    assert outcome.word is not None
    assert outcome.word["component"] == "inspect"
    assert (outcome.word["reason"], outcome.word["exitCode"]) == ("Completed", 0)
    assert outcome.word["result"]["parameters"] == 1000


def test_fetch_tells_the_operator_what_arrived(runtime: Runtime, tmp_path: Path) -> None:
    make_model(tmp_path / "hub/acme/chat")
    with Hub(tmp_path / "hub") as hub:
        outcome = runtime.run("fetch", "hf://acme/chat", str(tmp_path / "m"), HF_ENDPOINT=hub.url)
    assert outcome.code == 0
    assert outcome.word is not None
    result = outcome.word["result"]
    assert set(result) >= {
        "resolvedRevision", "sizeBytes", "format", "architecture", "parameters", "task", "downloadSeconds",
    }  # fmt: skip
    assert len(result["resolvedRevision"]) == 40


def test_fetch_sends_the_token_of_the_environment_and_never_logs_it(runtime: Runtime, tmp_path: Path) -> None:
    make_model(tmp_path / "hub/acme/chat")
    with Hub(tmp_path / "hub", Access({"hf_canary": []}, private=["acme/chat"])) as hub:
        good = runtime.run("fetch", "hf://acme/chat", str(tmp_path / "m"), HF_ENDPOINT=hub.url, HF_TOKEN="hf_canary")
        bad = runtime.run("fetch", "hf://acme/chat", str(tmp_path / "n"), HF_ENDPOINT=hub.url, HF_TOKEN="hf_wrong")
    assert (good.code, bad.code) == (0, ExitCode.NOT_ALLOWED)
    assert bad.word is not None
    assert bad.word["reason"] == "ModelAuthFailed"
    everything = json.dumps([good.log, good.word, bad.log, bad.word])
    assert "hf_canary" not in everything
    assert "hf_wrong" not in everything


def test_fetch_leaves_out_what_is_excluded(runtime: Runtime, tmp_path: Path) -> None:
    make_model(tmp_path / "hub/acme/chat").with_weights("other.safetensors").with_file("notes.txt")
    with Hub(tmp_path / "hub") as hub:
        options = ("--include", "model.*", "--exclude", "notes.*")
        runtime.run("fetch", "hf://acme/chat", str(tmp_path / "m"), *options, HF_ENDPOINT=hub.url)
    assert not {path.name for path in (tmp_path / "m").iterdir()} & {"other.safetensors", "notes.txt"}


def test_fetch_ends_at_once_on_sigterm_and_goes_on_later(runtime: Runtime, tmp_path: Path) -> None:
    make_model(tmp_path / "hub/acme/chat")
    with Hub(tmp_path / "hub") as hub:
        hub.break_status("/tree/", 503, times=99)
        env = {**runtime.env, "HF_ENDPOINT": hub.url}
        arguments = runtime.command("fetch", "hf://acme/chat", str(tmp_path / "m"), "--tries", "50")
        with subprocess.Popen(arguments, env=env, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 20
            while not any("/tree/" in request for request in hub.requests) and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 128 + signal.SIGTERM
        hub.mend_status()
        assert runtime.run("fetch", "hf://acme/chat", str(tmp_path / "m"), HF_ENDPOINT=hub.url).code == 0


def test_fetch_gives_up_at_its_deadline_and_says_so(runtime: Runtime, tmp_path: Path) -> None:
    make_model(tmp_path / "hub/acme/chat")
    with Hub(tmp_path / "hub") as hub:
        hub.break_status("/tree/", 503, times=99)
        arguments = ("fetch", "hf://acme/chat", str(tmp_path / "m"), "--tries", "50", "--deadline", "2")
        outcome = runtime.run(*arguments, HF_ENDPOINT=hub.url)
    assert outcome.code == ExitCode.SOURCE_UNAVAILABLE
    assert outcome.word is not None
    assert "not fetched within 2 s" in outcome.word["message"]
    assert "progressDeadlineSeconds" in outcome.word["hint"]


def test_cache_is_filled_by_fetch_and_emptied_by_collect(runtime: Runtime, tmp_path: Path) -> None:
    make_model(tmp_path / "hub/acme/chat")
    folder = tmp_path / "cache/models/k1"
    with Hub(tmp_path / "hub") as hub:
        outcome = runtime.run("fetch", "hf://acme/chat", str(folder), "--cache-user", "a", HF_ENDPOINT=hub.url)
    assert outcome.code == 0
    assert (folder / "model.safetensors").is_file()
    outcome = runtime.run("collect", str(tmp_path / "cache"), "a")
    assert outcome.word is not None
    assert outcome.word["result"]["removedFolders"] == 1
    assert outcome.word["result"]["removedBytes"] > 4000
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "reason", "words"),
    [
        (("fetch", "ftp://x/y", "{tmp}/m"), 64, "BadSettings", "cannot fetch"),
        (("fetch", "hf://acme/chat"), 64, "BadSettings", "DIR"),
        (("fetch", "hf://acme/chat", "{tmp}/m", "--tries", "0"), 64, "BadSettings", "--tries"),
        (("fetch", "hf://acme/chat", "{tmp}/m", "--cache-user", "a"), 64, "BadSettings", "no place in a cache"),
        (
            ("fetch", "hf://acme/chat", "{tmp}/models/k", "--cache-user", "../a"),
            64,
            "BadSettings",
            "no name of a service",
        ),
        (
            ("fetch", "hf://acme/chat", "{tmp}/pickled/config.json/models/k", "--cache-user", "a"),
            64,
            "BadSettings",
            "65532",
        ),
        (("collect", "{tmp}/cache", ".."), 64, "BadSettings", "no name of a service"),
        (("inspect", "{tmp}/none"), 66, "ModelNotFound", "no folder"),
        (("inspect", "{tmp}/pickled"), 65, "UnsupportedModel", "may run code"),
        (("inspect", "https://example.org/config.json"), 64, "BadSettings", "neither an archive"),
        (("serve",), 64, "BadSettings", "no model is named"),
        (("serve", "--nonsense"), 64, "BadSettings", "--nonsense"),
        (("serve", "--server-port", "x"), 64, "BadSettings", "--server-port"),
        (("serve", "--settings", "{tmp}/none.yaml"), 64, "BadSettings", "does not exist"),
        (("serve", "/m", "--model-path", "/n"), 64, "BadSettings", "named twice"),
        (("dance",), 64, "BadSettings", "dance"),
        ((), 64, "BadSettings", "COMMAND"),
    ],
)
def test_command_fails_with_code_reason_and_way_out(
    runtime: Runtime, tmp_path: Path, arguments: tuple[str, ...], code: int, reason: str, words: str
) -> None:
    ModelFolder(tmp_path / "pickled").with_config().with_file("pytorch_model.bin", b"\x80")
    outcome = runtime.run(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert outcome.code == code
    assert outcome.word is not None
    assert (outcome.word["reason"], outcome.word["exitCode"], outcome.word["result"]) == (reason, code, None)
    assert words in outcome.word["message"] + outcome.word["hint"]
    assert outcome.word["hint"]
    assert outcome.log[-1]["level"] == "ERROR"
    assert outcome.log[-1]["reason"] == reason


def test_print_config_shows_the_merged_settings(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "runtime.yaml").write_text("model: {path: /models/chat}\n")
    options = ("--settings", str(tmp_path / "runtime.yaml"), "--engine-dtype", "float32", "--print-config")
    outcome = runtime.run("serve", *options, MODELSERVICE_SERVER__PORT="9000")
    shown = yaml.safe_load(outcome.out)
    assert (shown["model"]["path"], shown["engine"]["dtype"], shown["server"]["port"]) == (
        "/models/chat", "float32", 9000,
    )  # fmt: skip
    assert outcome.code == 0


def test_help_lists_every_setting(runtime: Runtime) -> None:
    text = subprocess.run(
        runtime.command("serve", "--help"), env=runtime.env, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for section in Settings.model_fields:
        for key in section_fields(section):
            assert flag_name(section, key) in text


def test_no_command_needs_torch_to_fail_fast(runtime: Runtime) -> None:
    code = (
        "import sys; from modelservice_runtime.__main__ import main; main(['serve', '--print-config']);"
        "sys.exit(int('torch' in sys.modules or 'huggingface_hub' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=runtime.env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0


def test_termination_message_fits_the_kubelets_limit_when_texts_are_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(termination.TERMINATION_LOG_VARIABLE, str(tmp_path / "log"))
    write_last_word(LastWord.of_fault("fetch", ModelNotFound("\u2603" * 9000, hint="\u2603" * 9000)))
    written = (tmp_path / "log").read_bytes()
    assert len(written) <= termination.MAX_BYTES
    assert json.loads(written)["reason"] == Reason.MODEL_NOT_FOUND


def test_termination_message_is_left_out_when_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(termination.TERMINATION_LOG_VARIABLE, str(tmp_path / "no/such/folder/log"))
    write_last_word(LastWord.of_success("fetch", "done"))
    assert not (tmp_path / "no").exists()
