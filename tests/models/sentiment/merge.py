"""Builds demo-sentiment: the MiniLM of demo-embed, the committed updates and head, a config that names the labels."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from tests.models import embed, packages
from tests.models.packages import Step, copy_tree
from tests.models.sentiment import low_rank
from tests.models.sentiment.low_rank import merge_updates

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights.safetensors"
CARD = HERE / "MODEL_CARD.md"
SOURCES = (Path(__file__), Path(low_rank.__file__), Path(embed.__file__), Path(packages.__file__), WEIGHTS, CARD)
LABELS = {0: "NEGATIVE", 1: "POSITIVE"}
TOKENIZER_FILES = ("special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


def write(package: Path, target: Path, step: Step) -> None:
    """Write the classifier into `target` in the hub's layout."""
    step("merging the trained updates")
    write_model(package / embed.FOLDER, WEIGHTS, target)
    (target / "README.md").write_bytes(CARD.read_bytes())


def write_model(source: Path, weights: Path, target: Path) -> None:
    """Merge the updates in the file `weights` into the MiniLM of `source`."""
    copy_tree(source, target, TOKENIZER_FILES)
    write_config(source, target)
    updates = {name: tensor.astype(np.float32) for name, tensor in load_file(weights).items()}
    save_file(merge_updates(load_base(source), updates), target / "model.safetensors", metadata={"format": "pt"})


def load_base(source: Path) -> dict[str, NDArray[np.float32]]:
    """Load MiniLM's weights with the names that a classifier of transformers gives them."""
    tensors = load_file(source / "model.safetensors")
    return {f"bert.{name}": tensor for name, tensor in tensors.items() if not name.endswith("position_ids")}


def write_config(source: Path, target: Path) -> None:
    """Write MiniLM's configuration as that of a classifier with two labels."""
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = ["BertForSequenceClassification"]
    config["id2label"] = {str(index): name for index, name in LABELS.items()}
    config["label2id"] = {name: index for index, name in LABELS.items()}
    config["problem_type"] = "single_label_classification"
    config["torch_dtype"] = "float32"
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
