"""OpenAI's `/v1/embeddings`."""

import base64
import math
import struct
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from modelservice_runtime.protocols.openai_generation import Usage
from modelservice_runtime.protocols.strict import Name, StrictBody, TokenId
from modelservice_runtime.tasks.inputs import Texts, Vector

InputText = Annotated[str, Field(min_length=1, max_length=4_000_000)]
InputTokens = Annotated[list[TokenId], Field(min_length=1, max_length=1 << 20)]
Many = Field(min_length=1, max_length=2048)


class EmbeddingRequest(StrictBody):
    """Body of `/v1/embeddings`."""

    unsupported: ClassVar = {"dimensions": "leave it out; the model's own size is returned"}
    model: Name
    input: InputText | Annotated[list[InputText], Many] | InputTokens | Annotated[list[InputTokens], Many]
    encoding_format: Literal["float", "base64"] = "float"
    user: Annotated[str, Field(max_length=512)] | None = None

    def to_task(self) -> Texts:
        """Return what the task reads."""
        if isinstance(self.input, str):
            return Texts([self.input])
        if isinstance(self.input[0], int):
            return Texts([[token for token in self.input if isinstance(token, int)]])
        return Texts([text for text in self.input if not isinstance(text, int)])


class Embedding(BaseModel):
    """One vector, as numbers or as base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingResponse(BaseModel):
    """Answer of `/v1/embeddings`."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


def encode_vector(vector: Vector, encoding: Literal["float", "base64"]) -> list[float] | str:
    """Return a vector in the format that the client asked for. Raises ValueError when it holds what is no number."""
    if encoding == "base64":
        return base64.b64encode(vector.data).decode("ascii")
    values = list(struct.unpack(f"<{len(vector.data) // 4}f", vector.data))
    if not math.isfinite(sum(values)):
        raise ValueError("the model's vector is not finite, and JSON has no way to write that")
    return values
