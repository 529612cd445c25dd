"""Adapters to Kubernetes: the `KubeApi` port and its client, the watch streams, the Lease."""
