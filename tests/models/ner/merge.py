"""Builds demo-ner: the MiniLM of demo-embed, the committed updates and head, a config that names the tags."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.models import embed, packages
from tests.models.packages import Step, copy_tree
from tests.models.sentiment import low_rank
from tests.models.sentiment import merge as sentiment
from tests.models.sentiment.low_rank import merge_updates
from tests.models.sentiment.merge import TOKENIZER_FILES, load_base

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights.safetensors"
CARD = HERE / "MODEL_CARD.md"
CODE = (__file__, low_rank.__file__, sentiment.__file__, embed.__file__, packages.__file__)
SOURCES = (*(Path(str(file)) for file in CODE), WEIGHTS, CARD)
TAGS = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "ORG", "LOC", "DATE") for prefix in "BI"))


def write(package: Path, target: Path, step: Step) -> None:
    """Write the tagger into `target` in the hub's layout."""
    step("merging the trained updates")
    write_model(package / embed.FOLDER, WEIGHTS, target)
    (target / "README.md").write_bytes(CARD.read_bytes())


def write_model(source: Path, weights: Path, target: Path) -> None:
    """Merge the updates in the file `weights` into the MiniLM of `source`; a tagger has no pooler."""
    copy_tree(source, target, TOKENIZER_FILES)
    write_config(source, target)
    updates = {name: tensor.astype(np.float32) for name, tensor in load_file(weights).items()}
    merged = merge_updates(load_base(source), updates)
    kept = {name: tensor for name, tensor in merged.items() if not name.startswith("bert.pooler.")}
    save_file(kept, target / "model.safetensors", metadata={"format": "pt"})


def write_config(source: Path, target: Path) -> None:
    """Write MiniLM's configuration as that of a token classifier."""
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = ["BertForTokenClassification"]
    config["id2label"] = {str(index): name for index, name in enumerate(TAGS)}
    config["label2id"] = {name: index for index, name in enumerate(TAGS)}
    config["torch_dtype"] = "float32"
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
