"""The base of all request bodies: closed, bounded, finite.

A field that is not known is refused, because ignoring it would give an answer to another question than the one asked.
A field of the OpenAI API that is known and not supported is refused with the way out; a value that means the default
(`null`, `0`, an empty list) is taken, since clients send such values unasked.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Name = Annotated[str, Field(min_length=1, max_length=253)]
Text = Annotated[str, Field(max_length=4_000_000)]
TokenId = Annotated[int, Field(ge=0, lt=1 << 31, strict=True)]
DEFAULTS: tuple[Any, ...] = (None, False, 0, [], {})


class StrictBody(BaseModel):
    """Base of request bodies. `unsupported` maps field names to what to do instead."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())
    unsupported: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name, advice in cls.unsupported.items():
            if name in data and data[name] not in DEFAULTS:
                raise PydanticCustomError(
                    "unsupported",
                    "{field} is not supported by this server; {advice}",
                    {"field": name, "advice": advice},
                )
        return {name: value for name, value in data.items() if name not in cls.unsupported}
