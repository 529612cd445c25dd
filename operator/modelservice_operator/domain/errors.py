"""What keeps a spec from being carried out, and how objects are read so that such a failure names its field."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..api.reasons import Reason
from ..api.v1alpha1 import ModelService, RuntimeProfile

_Kind = TypeVar("_Kind", bound=BaseModel)


class SpecError(Exception):
    """The spec cannot be carried out.

    `field` is a path such as `spec.model.uri`; empty when no single field is at fault.
    """

    def __init__(self, reason: Reason, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.reason = reason
        self.field = field
        self.message = message


def read_service(body: Mapping[str, Any]) -> ModelService:
    """Validate a ModelService. Raises SpecError, which names the first field at fault."""
    status = body.get("status")
    known = {**_written_by_users(body), "status": status if isinstance(status, dict) else {}}
    return _read(ModelService, known)


def read_profile(body: Mapping[str, Any]) -> RuntimeProfile:
    """Validate a RuntimeProfile. Raises SpecError, which names the profile and the first field at fault."""
    try:
        return _read(RuntimeProfile, _written_by_users(body))
    except SpecError as error:
        name = (body.get("metadata") or {}).get("name", "")
        raise SpecError(
            error.reason, "spec.runtime.profileRef", f"RuntimeProfile {name!r} is invalid: {error}"
        ) from error


def _written_by_users(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in ("metadata", "spec") if key in body}


def _read(kind: type[_Kind], body: Mapping[str, Any]) -> _Kind:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        words = [str(word) for word in first["loc"] if isinstance(word, int) or not _is_type_word(word)]
        words += [word for word in [first.get("ctx", {}).get("field", "")] if word]
        raise SpecError(Reason.INVALID_SPEC, ".".join(words), _without_field(first)) from error


def _is_type_word(word: str) -> bool:
    """Whether pydantic put the word into a path to tell the branches of a union apart."""
    return word in ("int", "str") or word.startswith(("function-", "constrained-"))


def _without_field(error: Mapping[str, Any]) -> str:
    """The message without the field that a rule repeats at its beginning."""
    field = error.get("ctx", {}).get("field", "")
    return str(error["msg"]).removeprefix(f"{field}: ") if field else str(error["msg"])
