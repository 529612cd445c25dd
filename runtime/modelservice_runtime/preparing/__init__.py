"""Making another model folder out of a model: smaller, faster to load, or free of pickles (`optimize`).

`options` says what was asked for, `plan` checks that it can be done before anything is written, `run` does it and
tells what came of it. Weights go by one tensor at a time through `edits`, so that a model larger than the memory can be
cast and sharded. This package runs apart from the server; `serve` only reads what it writes.
"""
