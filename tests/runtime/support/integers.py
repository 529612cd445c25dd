"""Stand-ins for oneDNN's 8-bit products: for CPUs that have none, and for those whose sums overflow."""

from typing import Any

import pytest

from modelservice_runtime.models import int8_linear

LARGEST = (1 << 15) - 1


def play_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 8-bit products be computed in float32 where this CPU has none."""
    int8_linear._try_ranges.cache_clear()
    if int8_linear.find_obstacle():
        replace(monkeypatch, multiply)


def replace(monkeypatch: pytest.MonkeyPatch, operator: Any) -> None:
    """Let something else multiply, weights being in the usual order."""
    monkeypatch.setattr(int8_linear, "prepack", lambda eights: eights)
    monkeypatch.setattr(int8_linear, "multiply", operator)
    int8_linear._try_ranges.cache_clear()


def multiply(rows: Any, middle: int, eights: Any, scales: Any, _zeros: Any) -> Any:
    """Multiply as it should be."""
    return (rows.float() - middle) @ eights.float().T * scales


def multiply_overflowing(rows: Any, middle: int, eights: Any, scales: Any, _zeros: Any) -> Any:
    """Bound the sum of two neighbouring products by 16 bits, as AVX2 does without VNNI."""
    products = rows.int()[..., None, :] * eights.int()
    pairs = products.unflatten(-1, (-1, 2)).sum(-1).clamp(-LARGEST - 1, LARGEST)
    return (pairs.sum(-1) - middle * eights.int().sum(-1)).float() * scales


def multiply_wrongly(rows: Any, middle: int, eights: Any, scales: Any, zeros: Any) -> Any:
    """Be off by a tenth."""
    return multiply(rows, middle, eights, scales, zeros) * 1.1
