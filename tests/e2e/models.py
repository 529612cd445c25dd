"""A second real embedding model, so that a test can tell which of two has answered."""

import json
import shutil
from pathlib import Path

from safetensors.numpy import load_file, save_file

from tests.cluster import Cluster
from tests.models import build_model
from tests.quickstart.images import ROOT

SHALLOW = "localhost/models/demo-embed-shallow:dev"


def build_shallow_model(cluster: Cluster, folder: Path) -> str:
    """The URI of the first three layers of the demo model, made in `folder` and packed as an image."""
    shutil.copytree(build_model("demo-embed"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    kept = {
        name: tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
        if "encoder.layer." not in name or int(name.split("encoder.layer.")[1].split(".")[0]) < 3
    }
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    cluster.build_image(SHALLOW, folder, ROOT / "tests" / "models" / "Dockerfile")
    return f"oci://{SHALLOW}"
