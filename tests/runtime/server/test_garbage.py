import gc
from collections.abc import Iterator

import pytest

from modelservice_runtime.server.garbage import exempt_what_is_there, suspend_search


class Ring:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.ring = self


@pytest.fixture(autouse=True)
def restores_the_search() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_searched_until_the_model_is_there() -> None:
    suspend_search()
    assert not gc.isenabled()
    exempt_what_is_there()
    assert gc.isenabled()


def test_what_is_there_is_exempt_and_what_comes_later_is_not() -> None:
    before = Ring()
    exempt_what_is_there()
    after = Ring()
    known = {id(each) for each in gc.get_objects()}
    assert id(before) not in known
    assert id(after) in known


def test_garbage_of_the_start_is_collected_before_the_rest_is_exempt() -> None:
    suspend_search()
    exempt_what_is_there()
    gc.unfreeze()
    Ring()
    exempt_what_is_there()
    gc.unfreeze()
    assert not any(type(each) is Ring for each in gc.get_objects())
