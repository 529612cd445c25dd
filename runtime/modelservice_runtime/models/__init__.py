"""From a folder on disk to a model that is ready to compute."""
