"""A level-triggered controller engine: cache, work queue, workers, leader election, resync.

It knows no Kubernetes, no custom resource and no library outside the standard one; what it needs from the world it
declares as small Protocols, so that every part is tested with a fake clock and no network.
"""
