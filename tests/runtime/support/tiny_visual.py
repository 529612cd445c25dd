"""Tiny random models that read images and write text, in the hub's layout, made with fixed seeds."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import AddedToken
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from tests.runtime.support.tiny_models import byte_level_tokenizer

CONTEXT = 512
SIDE = 32
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """Return a picture of coloured noise in large blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


def data_url(image: Image.Image) -> str:
    """Return a picture as a client sends it."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def make_llava(folder: Path) -> Path:
    """Save a random LLaVA: a CLIP tower of 16 patches before a Llama of two layers."""
    tokenizer = image_tokenizer("<image>")
    torch.manual_seed(11)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=SIDE, patch_size=8, projection_dim=32, **small()),
        text_config=llama(len(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
        vision_feature_layer=-1,
        initializer_range=0.2,
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _image_processor().save_pretrained(folder)
    write_json(
        folder / "processor_config.json",
        processor_class="LlavaProcessor",
        patch_size=8,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        image_token="<image>",
    )
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def write_json(path: Path, **content: Any) -> None:
    """Write a JSON object."""
    path.write_text(json.dumps(content))


def image_tokenizer(*extra: str) -> Any:
    """Return a tokenizer that knows some special tokens."""
    tokenizer = byte_level_tokenizer(chat=False)
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken(token, special=True) for token in extra]})
    return tokenizer


def _image_processor() -> Any:
    size = {"height": SIDE, "width": SIDE}
    return CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False)


def small() -> dict[str, Any]:
    """Return the sizes that the parts of these models share."""
    return {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "initializer_range": 0.2,
    }


def llama(vocabulary: int) -> LlamaConfig:
    """Return the language model of a visual chat model."""
    return LlamaConfig(
        vocab_size=vocabulary,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        **small(),
    )
