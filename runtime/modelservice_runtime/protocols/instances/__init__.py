"""Instances: one input of a task as a JSON value, and what comes of it as another.

The V1 and V2 protocols, explanations, the documentation and the playground do not know tasks. They know what a task
reads and what it gives, which are few kinds: a task's row in `tasks.base.TASKS` names both, so a new task that reads
and gives known kinds needs nothing here.
"""

from .forms import GIVES, READS, Gives, InvalidInstances, Reads, example_of, is_slow, read_instances, write_results

__all__ = [
    "GIVES",
    "READS",
    "Gives",
    "InvalidInstances",
    "Reads",
    "example_of",
    "is_slow",
    "read_instances",
    "write_results",
]
