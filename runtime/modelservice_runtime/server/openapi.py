"""The machine-readable description of the API, for the task that is loaded.

A server has one task. Its description therefore leaves out the endpoints of other tasks, which could only refuse, and
shows requests that this very model answers. Until the task is known everything is described.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from modelservice_runtime.protocols.instances import example_of
from modelservice_runtime.server.service import Service
from modelservice_runtime.tasks.base import TASKS, TaskInfo

JSON = "application/json"
GENERATION = ("/v1/completions", "/v1/chat/completions", "/v1/responses")
FURTHER: Mapping[str, tuple[str, ...]] = {
    "chat": GENERATION,
    "text-generation": ("/v1/completions",),
    "image-text-to-text": ("/v1/chat/completions", "/v1/responses"),
    "automatic-speech-recognition": ("/v1/audio/transcriptions", "/v1/audio/translations"),
}
EXPLAIN = ("/v1/explain", "/v1/models/{name}:explain")
TEXT_STREAMS = ("/generate", "/generate_stream")
BODIES: Mapping[str, Mapping[str, Any]] = {
    "/v1/chat/completions": {
        "messages": [{"role": "user", "content": "Name three colours."}],
        "max_tokens": 64,
        "temperature": 0,
    },
    "/v1/completions": {"prompt": "Once upon a time", "max_tokens": 32, "temperature": 0},
    "/v1/responses": {"input": "Name three colours.", "max_output_tokens": 64},
    "/v1/embeddings": {"input": ["The cat sat on the mat.", "A feline rested on a rug."]},
    "/v1/rerank": {
        "query": "What is the capital of France?",
        "documents": ["Paris is the capital of France.", "Bears like honey."],
    },
    "/v1/images/generations": {"prompt": "a seven", "n": 1, "seed": 7},
}


def describe_api(app: FastAPI, service: Service) -> dict[str, Any]:
    """Return the OpenAPI document for the loaded task."""
    document = deepcopy(_everything(app))
    if service.keys is not None:
        document.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
    if service.info is None:
        return document
    info, name = service.info, service.settings.served_name
    document["info"]["title"] = f"{name} ({info.name})"
    hidden = _hidden(info, explains=service.explained is not None, paths=document["paths"])
    document["paths"] = {path: item for path, item in document["paths"].items() if path not in hidden}
    for path, item in document["paths"].items():
        for operation in item.values():
            _show_examples(path, operation, info, name)
    return document


def _everything(app: FastAPI) -> dict[str, Any]:
    return FastAPI.openapi(app)


def _hidden(info: TaskInfo, *, explains: bool, paths: Mapping[str, Any]) -> set[str]:
    """Return the paths that this task does not answer."""
    own = {info.endpoint, *FURTHER.get(info.name, ())}
    others = {task.endpoint for task in TASKS} | {path for paths in FURTHER.values() for path in paths}
    hidden = others - own - {"/v1/models/{name}:predict"}
    if not explains:
        hidden.update(EXPLAIN)
    if info.gives != "completion":
        hidden.update(path for path in paths if path.endswith(TEXT_STREAMS))
    return hidden


def _show_examples(path: str, operation: dict[str, Any], info: TaskInfo, name: str) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in ("name", "model", "model_name") and parameter["in"] == "path":
            parameter["example"] = name
    content = operation.get("requestBody", {}).get("content", {})
    example = _example(path, info, name)
    if JSON in content and example is not None:
        content[JSON]["examples"] = {info.name: {"summary": f"for {info.name}", "value": example}}


def _example(path: str, info: TaskInfo, name: str) -> dict[str, Any] | None:
    """Return a body that the loaded model answers, None where there is none to show."""
    instance = example_of(info.reads)
    match path:
        case "/v1/models/{name}:predict":
            return {"instances": [instance]}
        case "/v1/models/{name}:explain":
            return {"instances": [instance], "parameters": {"method": "integrated_gradients"}}
        case "/v1/explain":
            return {"model": name, "input": instance}
        case "/v1/classify":
            first, *others = instance.items()
            return {"model": name, "input": first[1], **dict(others)}
        case _:
            return {"model": name, **BODIES[path]} if path in BODIES else None
