"""The demo models: real ones, made on the user's machine from Python packages, kept in the cache, never committed."""

from tests.models.build import MODELS, build_model, cache_folder

__all__ = ["MODELS", "build_model", "cache_folder"]
