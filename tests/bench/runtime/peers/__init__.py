"""The servers that the runtime is compared with, each in an environment of its own (`*.in`, `*.lock`)."""
