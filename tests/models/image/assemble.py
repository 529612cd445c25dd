"""Builds demo-image: the committed configuration, and the committed float16 weights as float32 files of its parts.

`export` is the way back, from a trained pipeline to what is committed.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.models.packages import Step

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights.safetensors"
LAYOUT = HERE / "layout"
CARD = HERE / "MODEL_CARD.md"
FILES = {
    "text_encoder": "model.safetensors",
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
}
SOURCES = (Path(__file__), WEIGHTS, CARD, *sorted(path for path in LAYOUT.rglob("*") if path.is_file()))


def write(_package: Path, target: Path, step: Step) -> None:
    """Write the pipeline into `target` in the hub's layout."""
    step("unpacking the trained weights")
    write_model(HERE, target)
    (target / "README.md").write_bytes(CARD.read_bytes())


def write_model(source: Path, target: Path) -> None:
    """Put the configuration and the weights that lie in `source` together."""
    shutil.copytree(source / LAYOUT.name, target, dirs_exist_ok=True)
    weights = load_file(source / WEIGHTS.name)
    for part, file in FILES.items():
        tensors = {
            name.removeprefix(f"{part}."): tensor.astype(np.float32)
            for name, tensor in weights.items()
            if name.startswith(f"{part}.")
        }
        save_file(tensors, target / part / file, metadata={"format": "pt"})


def export(pipeline: Any, elsewhere: Path | None, built: Path) -> Path:
    """Write what is committed, here or `elsewhere`; return the folder `built` with the model made of it."""
    target = elsewhere or HERE
    with tempfile.TemporaryDirectory() as saved:
        pipeline.save_pretrained(saved, safe_serialization=True)
        weights = {
            f"{part}.{name}": tensor.astype(np.float16)
            for part, file in FILES.items()
            for name, tensor in load_file(Path(saved) / part / file).items()
        }
        save_file(weights, target / WEIGHTS.name)
        (target / WEIGHTS.name).chmod(0o644)
        for part, file in FILES.items():
            (Path(saved) / part / file).unlink()
        shutil.rmtree(target / LAYOUT.name, ignore_errors=True)
        shutil.copytree(saved, target / LAYOUT.name)
    write_model(target, built)
    return built
