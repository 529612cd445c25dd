"""The runtime's speed, side by side with that of other servers, over HTTP on this machine.

    python -m tests.bench.runtime [--quick] [--only AREA ...]

`targets` says what has to be shown. Each area (`areas/`) starts the servers it compares as processes on loopback
(`servers`, `ours`, `peers/`), loads them in turns (`turns`: A, B, A, B, while the others are frozen) with the generator
of `load`, and hands back `Line`s (`figures`), which `report` writes. Nothing here imports torch: models are made and
raw loops are run by processes of their own (`making`, `raw`).
"""
