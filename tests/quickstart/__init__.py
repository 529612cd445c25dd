"""The main job in one command: a cluster, the operator, a model, a true answer."""
