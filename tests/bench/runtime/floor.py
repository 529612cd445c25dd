"""What a process holds that only imported torch: `python -m tests.bench.runtime.floor` writes it as JSON."""

import json
import os
from dataclasses import asdict
from importlib import import_module

from tests.bench.runtime.machine import read_held


def main() -> None:
    """Import and look."""
    import_module("torch")
    print(json.dumps(asdict(read_held(os.getpid()))))


if __name__ == "__main__":
    main()
