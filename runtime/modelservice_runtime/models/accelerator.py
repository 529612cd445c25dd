"""The questions that only a GPU can answer, in one place, so that all that follows from them runs on a CPU in tests."""

import torch

from modelservice_runtime.models.quantization import Silicon


def read_silicon(device: str) -> Silicon:
    """Tell what computes on a device (`cpu`, `cuda:0`)."""
    if device == "cpu":
        return Silicon("cpu")
    is_nvidia = torch.version.hip is None
    return Silicon("cuda", torch.cuda.get_device_capability(device) if is_nvidia else None)
