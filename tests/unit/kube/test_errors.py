import pytest

from modelservice_operator.kube.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Throttled,
    Unavailable,
    error_from,
)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, Invalid),
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, NotFound),
        (413, Invalid),
        (422, Invalid),
        (429, Throttled),
        (500, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (418, ApiError),
    ],
)
def test_error_says_what_to_do_next_when_the_server_answers(code: int, kind: type[ApiError]) -> None:
    error = error_from(code, {"message": "why", "reason": "Because"})
    assert type(error) is kind
    assert (error.code, error.message, error.reason) == (code, "why", "Because")


def test_apply_with_an_unknown_field_is_invalid_when_the_server_calls_it_its_own_failure() -> None:
    error = error_from(500, {"message": "failed to create typed patch object (a/b): .bogus: field not declared"})
    assert isinstance(error, Invalid)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", 1.0), (None, 1.0), ("-3", 0.0)])
def test_patience_is_the_servers_when_it_can_be_read(header: str | None, seconds: float) -> None:
    error = error_from(429, {}, header)
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds
