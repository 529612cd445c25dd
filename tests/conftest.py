"""Fixtures that every test may use, and how properties are tried: a busy machine is no failure."""

from hypothesis import HealthCheck, settings

from tests.support.clusters import control_plane, node

__all__ = ["control_plane", "node"]

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
