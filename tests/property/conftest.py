"""Fixtures of these tests."""

from tests.apiserver.judge import judge, served

__all__ = ["judge", "served"]
