"""The runtime's API as a client sees it: what is served, an answer in one piece, an answer as a stream of text."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp

from modelservice_operator.cli.asking import Question

_SECONDS: Final = 600.0
_DONE: Final = "[DONE]"


class Refused(Exception):  # noqa: N818 - named for the situation
    """The server answered with an error; `code` is the HTTP status, the message is the server's own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Inference:
    """A model server at an address. Methods raise Refused and aiohttp.ClientError."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        self._session = aiohttp.ClientSession(url, headers=headers, timeout=timeout, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def cards(self) -> list[dict[str, Any]]:
        """What the server serves: the model first, then its other names and adapters."""
        async with self._session.get("/v1/models") as response:
            answer = await _checked(response)
        return list(answer["data"])

    async def ask(self, question: Question) -> Any:
        """The prediction for the one instance of a question."""
        async with self._session.post(question.path, json=question.body) as response:
            answer = await _checked(response)
        return answer["predictions"][0]

    async def stream(self, question: Question) -> AsyncIterator[str]:
        """The pieces of text of an answer, as they come."""
        async with self._session.post(question.path, json=question.body) as response:
            if response.status != 200:
                await _checked(response)
            async for line in response.content:
                data = line.decode().strip().removeprefix("data: ")
                if not line.startswith(b"data: ") or data == _DONE:
                    continue
                for piece in _pieces(json.loads(data)):
                    yield piece


def _pieces(event: dict[str, Any]) -> list[str]:
    """The text in an event of a stream. Raises Refused when the event tells of an error."""
    if "error" in event:
        raise Refused(500, str(event["error"].get("message") or event["error"]))
    found = (choice.get("text") or (choice.get("delta") or {}).get("content") for choice in event.get("choices") or ())
    return [piece for piece in found if piece]


async def _checked(response: aiohttp.ClientResponse) -> Any:
    text = await response.text()
    try:
        answer = json.loads(text)
    except ValueError:
        answer = {}
    if response.status == 200:
        return answer
    detail = answer.get("error") if isinstance(answer, dict) else None
    message = detail.get("message") if isinstance(detail, dict) else detail
    raise Refused(response.status, str(message or text[:500] or f"HTTP {response.status}"))
