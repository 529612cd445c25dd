"""The ModelService runtime: one inference server for every task family."""

__version__ = "0.1.0"
