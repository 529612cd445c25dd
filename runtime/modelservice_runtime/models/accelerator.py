"""What only a GPU can answer or do, in one place, so that all that is around it runs on a CPU in tests."""

from collections.abc import Callable
from typing import Any

import torch

from modelservice_runtime.models.quantization import Silicon

WARM_UPS = 3


def read_silicon(device: str) -> Silicon:
    """Tell what computes on a device (`cpu`, `cuda:0`)."""
    if device == "cpu":
        return Silicon("cpu")
    is_nvidia = torch.version.hip is None
    return Silicon("cuda", torch.cuda.get_device_capability(device) if is_nvidia else None)


def send(tensor: Any, device: Any, dtype: Any = None) -> Any:
    """Return a tensor of the host on a device, in another dtype where one is given.

    To an accelerator it goes from pinned memory, and nobody waits for it: kernels that read it are queued behind the
    copy, and torch keeps the pinned memory until the copy is done.
    """
    tensor = tensor if dtype is None else tensor.to(dtype)
    if torch.device(device).type == "cpu":
        return tensor
    return pin(tensor).to(device, non_blocking=True)


def pin(tensor: Any) -> Any:
    """Return a copy of a tensor in memory that the kernel does not move, from which a GPU can read by itself."""
    return tensor.pin_memory()


def capture(function: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
    """Record what a function starts on the GPU; return what starts it again, and the tensor that it then fills.

    The function runs a few times before, because libraries set themselves up in their first calls. That happens on
    another stream, as torch wants it for what is to be recorded.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = function()
    return graph.replay, output
