"""The golden request: a question with a known answer, which the server puts to itself before it says that it is ready.

A model can load, warm up and still be the wrong one: other weights, another tokenizer, a broken quantization. Probes do
not see that; a question does. It goes through the whole application (guard, protocol, task, scheduler) as a client's
would, but in memory: so it needs no API key, no address, and no network policy that lets anybody in. Until it is
answered as expected everybody else is told that the model is not ready, and a wrong answer ends the process, so that
whoever starts it (the kubelet, an operator) sees why.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

from modelservice_runtime.errors import NotVerified
from modelservice_runtime.sections import VerificationSection
from modelservice_runtime.server.guard import OWN_KEY

LARGEST: Final = 8 << 20
"""Bytes of an answer that are looked at; an image is longer and has nothing to be found in."""

SHOWN: Final = 300


@dataclass(slots=True)
class Answer:
    """What came back."""

    status: int = 0
    body: bytearray = field(default_factory=bytearray)

    def take(self, message: Message) -> None:
        """Take one message of the application."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif len(self.body) < LARGEST:
            self.body += message.get("body", b"")

    @property
    def text(self) -> str:
        """The body, whatever it is."""
        return self.body.decode("utf-8", "replace")


async def check_golden(app: ASGIApp, golden: VerificationSection) -> None:
    """Ask the golden request. Raises NotVerified when the answer is late, an error, or another one than expected."""
    answer = Answer()
    try:
        async with asyncio.timeout(golden.timeout_seconds):
            await _ask(app, golden, answer)
    except TimeoutError:
        raise NotVerified(
            f"{golden.path} was not answered within {golden.timeout_seconds:g} s",
            hint="raise spec.rollout.verification.timeoutSeconds, or ask for a shorter answer",
        ) from None
    shown = _shorten(answer.text)
    if not 200 <= answer.status < 300:
        raise NotVerified(f"{golden.path} was answered with {answer.status}: {shown}")
    if not is_expected(answer.text, golden.expect):
        raise NotVerified(f"{golden.path} should have answered {golden.expect!r} and answered: {shown}")


def is_expected(text: str, expect: str) -> bool:
    """Whether the expected text is in an answer, as it stands or in a string of the JSON that the answer is."""
    if expect in text:
        return True
    try:
        return any(expect in said for said in _strings(json.loads(text)))
    except (ValueError, RecursionError):
        return False


async def _ask(app: ASGIApp, golden: VerificationSection, answer: Answer) -> None:
    body = golden.body.encode()
    path, _, query = golden.path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST" if body else "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        OWN_KEY: True,
    }
    sent: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not sent:
            await asyncio.Event().wait()  # a client that stays
        return sent.pop()

    async def send(message: Message) -> None:
        answer.take(message)

    await app(scope, receive, send)


def _strings(value: Any) -> Iterator[str]:
    """The strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value if isinstance(value, list) else value.values():
            yield from _strings(part)


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
