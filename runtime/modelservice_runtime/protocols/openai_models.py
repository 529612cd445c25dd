"""OpenAI's `/v1/models` and the shape of its errors."""

from typing import Any, Literal

from pydantic import BaseModel


class ModelCard(BaseModel):
    """A model that can be asked for.

    `reads` and `gives` name the kinds of instances and predictions of `:predict`, `example` is such an instance;
    `explains` tells whether `:explain` answers, `ready` whether the model is loaded. `root` is set where the name is
    another one of that model, `parent` where it is an adapter of it.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "modelservice"
    root: str | None = None
    parent: str | None = None
    task: str
    ready: bool
    max_model_len: int | None = None
    endpoint: str | None = None
    reads: str | None = None
    gives: str | None = None
    example: dict[str, Any] | None = None
    explains: bool = False


class ModelList(BaseModel):
    """Answer of `/v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ErrorDetail(BaseModel):
    """What was wrong, where (`param`), and a stable `code`."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """Body of every answer that is not a success."""

    error: ErrorDetail
