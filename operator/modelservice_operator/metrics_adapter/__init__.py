"""Serves `custom.metrics.k8s.io` for the pods of ModelServices, read from their admin ports.

With it a HorizontalPodAutoscaler scales on queue depth, concurrency or tokens a second where neither Prometheus nor
KEDA is installed. It is a process of its own (`modelservice-operator metrics-adapter`), because it serves and never
writes, while the operator writes and serves nothing.
"""
