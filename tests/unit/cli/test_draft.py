"""`new`: a ModelService from four answers."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from modelservice_operator.cli.__main__ import cli
from modelservice_operator.cli.draft import Answers, check, render, suggest_name

MODEL = "hf://Qwen/Qwen2.5-0.5B-Instruct"
ALL = ("--model", MODEL, "--name", "chat", "--gpus", "1", "--replicas", "2")


def _new(*words: str, given: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["new", *words], input=given)
    return result.exit_code, result.output


def test_four_questions_make_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = _new(given=f"{MODEL}\n2\n1-4\n\n")
    assert status == 0, said
    assert "kubectl modelservice plan -f qwen2-5-0-5b-instruct.yaml" in said
    body = yaml.safe_load((tmp_path / "qwen2-5-0-5b-instruct.yaml").read_text())
    assert body["spec"]["accelerator"] == {"count": 2}
    assert (body["spec"]["autoscaling"]["minReplicas"], body["spec"]["autoscaling"]["maxReplicas"]) == (1, 4)


def test_question_is_asked_again_when_the_answer_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = _new("-f", "-", given=f"Qwen\n{MODEL}\n\n4-1\n2\nChat\nchat\n")
    assert status == 0, said
    assert "'Qwen' is not a model URI" in said
    assert "'4-1': write a number from 1 on" in said
    assert "'Chat' is no name" in said
    assert "  replicas: 2\n" in said


def test_nothing_is_asked_when_options_say_all() -> None:
    status, said = _new(*ALL, "-o", "json")
    assert status == 0
    assert json.loads(said)["spec"] == {"model": {"uri": MODEL}, "accelerator": {"count": 1}, "replicas": 2}


def test_file_is_kept_when_it_exists(tmp_path: Path) -> None:
    path = tmp_path / "chat.yaml"
    path.write_text("mine\n")
    status, said = _new(*ALL, "-f", str(path))
    assert (status, path.read_text()) == (1, "mine\n")
    assert "--force" in said
    assert _new(*ALL, "-f", str(path), "--force")[0] == 0
    assert path.read_text() != "mine\n"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (MODEL, "qwen2-5-0-5b-instruct"),
        ("hf://org/7b@main", "model-7b"),
        ("https://example.com/models/Tiny.tar.gz", "tiny-tar-gz"),
        ("s3://bucket", "bucket"),
        ("pvc://claim/models/chat/", "chat"),
        ("oci://registry.local:5000/team/chat:1.2", "chat"),
        (f"hf://org/{'long-' * 10}x", "long-long-long-long-long-long-long-long-long"),
    ],
)
def test_name_is_suggested_from_the_model(model: str, name: str) -> None:
    assert suggest_name(model) == name
    assert check(render(Answers(model, suggest_name(model), 0, 1, 1)))["metadata"]["name"] == name


@pytest.mark.parametrize("model", [MODEL, "https://example.com/m", "s3://bucket/m", "pvc://claim/m", "oci://r.io/m:1"])
@pytest.mark.parametrize(("gpus", "most"), [(0, 1), (2, 4)])
def test_object_stays_valid_when_the_comments_are_taken_into_use(model: str, gpus: int, most: int) -> None:
    first, *lines = render(Answers(model, "chat", gpus, 1, most)).splitlines()
    assert first.startswith("# chat: ")
    used = [line.replace("# ", "", 1) if line.lstrip().startswith("#") else line for line in lines]
    spec = check("\n".join(used))["spec"]
    assert spec["rollout"]["autoRollback"] is True
    assert ("secretRef" in spec["model"]) is not model.startswith(("pvc", "oci"))
