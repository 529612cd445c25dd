"""The one torch thread and the schedulers that feed it."""
