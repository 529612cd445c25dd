"""Builds small model folders for tests: real safetensors files with a few numbers in them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

LLAMA: dict[str, Any] = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32"}


class ModelFolder:
    """A folder in the hub's layout, put together step by step."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path

    def with_config(self, config: dict[str, Any] = LLAMA) -> "ModelFolder":
        return self.with_file("config.json", json.dumps(config))

    def with_file(self, name: str, content: str | bytes = "{}") -> "ModelFolder":
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self

    def with_weights(self, name: str = "model.safetensors", parameters: int = 1000) -> "ModelFolder":
        save_file({"weight": np.arange(parameters, dtype=np.float32)}, self.path / name, metadata={"format": "pt"})
        return self

    def with_shards(self, count: int, parameters: int = 1000) -> "ModelFolder":
        names = [f"model-{index:05}-of-{count:05}.safetensors" for index in range(1, count + 1)]
        for name in names:
            self.with_weights(name, parameters)
        index = {"metadata": {}, "weight_map": {f"weight{number}": name for number, name in enumerate(names)}}
        return self.with_file("model.safetensors.index.json", json.dumps(index))


def make_model(path: Path, parameters: int = 1000) -> ModelFolder:
    """A complete small model."""
    return ModelFolder(path).with_config().with_weights(parameters=parameters).with_file("tokenizer.json")
