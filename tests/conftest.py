"""Fixtures that every test may use."""

from tests.support.clusters import control_plane, node

__all__ = ["control_plane", "node"]
