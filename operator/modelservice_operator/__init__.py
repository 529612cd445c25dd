"""The ModelService operator: reconciles `ModelService` resources into GPU-scheduled model servers."""

__version__ = "0.1.0"
