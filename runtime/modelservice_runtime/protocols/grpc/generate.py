"""Writes `open_inference_pb2` from `open_inference.proto`; needs grpcio-tools.

    python -m modelservice_runtime.protocols.grpc.generate [FOLDER]

The descriptors go into a pool of their own rather than the default one. Clients of the protocol register the same names
there, and two modules that do so cannot be imported into one process.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTO = HERE / "open_inference.proto"
HEAD = "# ruff: noqa\n# fmt: off\n# mypy: ignore-errors\n"
POOL = ("_descriptor_pool.Default()", "_descriptor_pool.DescriptorPool()")


def generate(folder: Path) -> list[Path]:
    """Write the module and its types into a folder; return their paths. Raises RuntimeError when protoc refuses."""
    from grpc_tools import protoc  # type: ignore[import-untyped] # noqa: PLC0415 - a tool for developers

    arguments = ["protoc", f"-I{HERE}", f"--python_out={folder}", f"--pyi_out={folder}", str(PROTO)]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"protoc refuses {PROTO}; its message is above")
    paths = [folder / "open_inference_pb2.py", folder / "open_inference_pb2.pyi"]
    for path in paths:
        text = path.read_text(encoding="utf-8").replace(*POOL)
        path.write_text(HEAD + text, encoding="utf-8")
    return paths


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
