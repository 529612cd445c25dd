"""Kubernetes quantities: reading `500m`, `1.5Gi` or `2e3` exactly, and writing the one canonical form.

The suffixes are those of `k8s.io/apimachinery/pkg/api/resource`. Decimals are kept exact with `Decimal`; a value below
one thousandth is rounded up to it, as the API server does for resources of a pod, where a milli is the finest unit.
"""

import re
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal
from typing import Final

PATTERN: Final = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$"
"""A quantity that is not negative; RE2 syntax, the CRD carries it."""

MAX_LENGTH: Final = 32

_SHAPE: Final = re.compile(r"([0-9.]+)(.*)")
_DECIMAL: Final[dict[str, int]] = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final[dict[str, int]] = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_MILLI: Final = Decimal("0.001")


def is_quantity(text: str) -> bool:
    """Whether the text is a quantity that is not negative."""
    return len(text) <= MAX_LENGTH and re.fullmatch(PATTERN, text) is not None


def parse_quantity(value: str | int) -> Decimal:
    """Exact value of a quantity in its base unit: cores, bytes or pieces.

    Raises ValueError for text that is no quantity, and for a negative one.
    """
    text = str(value)
    shape = _SHAPE.fullmatch(text)
    if shape is None or not is_quantity(text):
        raise ValueError(f"{text!r} is not a quantity; write a number with an optional suffix, such as 500m, 2 or 16Gi")
    number, suffix = Decimal(shape[1]), shape[2]
    if suffix in _BINARY:
        return number * (1 << _BINARY[suffix])
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix])
    return number.scaleb(int(suffix[1:]))


def canonical_quantity(value: str | int) -> str:
    """The canonical form, as the API server returns it: no fraction, the largest suffix that keeps it so.

    A binary suffix stays binary when the value is whole bytes; everything else is decimal. Raises ValueError like
    `parse_quantity`.
    """
    exact = parse_quantity(value)
    if str(value).endswith("i") and exact == exact.to_integral_value():
        return _shorten(int(exact), ((2**power, suffix) for suffix, power in reversed(_BINARY.items())))
    milli = int((exact / _MILLI).to_integral_value(rounding=ROUND_CEILING))
    ladder = ((10 ** (power + 3), suffix) for suffix, power in reversed(_DECIMAL.items()) if power >= -3)
    return _shorten(milli, ladder)


def _shorten(number: int, ladder: Iterable[tuple[int, str]]) -> str:
    if number == 0:
        return "0"
    for unit, suffix in ladder:
        if number % unit == 0:
            return f"{number // unit}{suffix}"
    return str(number)
