"""`kubectl modelservice try` against the runtime itself: the task decides what is asked and how it is told."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelservice_operator.cli.asking import Given
from modelservice_operator.cli.session import CommandError
from modelservice_operator.cli.trial import Trial
from modelservice_operator.kube.forward import Forward
from tests.runtime.support.server import RunningServer, running
from tests.runtime.support.tiny_models import make_classifier, make_decoder

pytestmark = pytest.mark.torch

KEY = "alice-key-0123456789"
WRITING = {"max_tokens": 16, "temperature": 0}


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "keys").write_text(f"alice:{KEY}\n")
    with running(make_decoder(folder / "model"), security={"api_key_file": str(folder / "keys")}) as server:
        yield server


async def _ask(server: RunningServer, given: Given, key: str | None = None, **more: object) -> None:
    options: dict[str, object] = {"adapter": None, "is_json": False, **more}
    trial = Trial(writing=WRITING, save=Path("unused.png"), key=key, **options)  # type: ignore[arg-type]
    assert await trial.run(Forward(f"http://127.0.0.1:{server.port}"), given) == 0


async def test_text_is_printed_as_the_chat_endpoint_gives_it(
    decoder: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "the fox"}], **WRITING}
    answer = decoder.http.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"})
    await _ask(decoder, Given(("the fox",)), KEY)
    assert capsys.readouterr().out == answer.json()["choices"][0]["message"]["content"] + "\n"


async def test_document_names_task_and_endpoint_when_json_is_asked_for(
    decoder: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await _ask(decoder, Given(("the fox",)), KEY, is_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["task"], found["endpoint"]) == ("tiny", "chat", "/v1/chat/completions")
    assert found["answer"]["text"]


async def test_way_to_give_a_key_is_told_when_the_server_wants_one(decoder: RunningServer) -> None:
    with pytest.raises(CommandError, match=r"needs a valid API key.*--api-key or MODELSERVICE_API_KEY"):
        await _ask(decoder, Given(("the fox",)))


async def test_names_are_told_when_the_server_has_no_such_adapter(decoder: RunningServer) -> None:
    with pytest.raises(CommandError, match="there is no law here; the server has tiny"):
        await _ask(decoder, Given(("the fox",)), KEY, adapter="law")


async def test_words_of_the_server_are_told_when_it_refuses(decoder: RunningServer) -> None:
    with pytest.raises(CommandError, match=r"the model's server says: .*tokens"):
        await _ask(decoder, Given(("fox " * 500,)), KEY)


async def test_labels_are_told_when_the_model_classifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(make_classifier(tmp_path / "classifier")) as server:
        await _ask(server, Given(("the quick brown fox",)))
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[-1] for line in lines} == {"negative", "neutral", "positive"}


async def test_cause_is_told_when_nothing_answers() -> None:
    trial = Trial(None, {}, Path("unused.png"), None, is_json=False)
    with pytest.raises(CommandError, match="the model's server could not be reached: the kubelet says no"):
        await trial.run(Forward("http://127.0.0.1:9", ["the kubelet says no"]), Given(("a",)))
