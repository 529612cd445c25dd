"""Tiny random models that turn images into text: BLIP, GIT, ViT with GPT-2; and Idefics3, which cuts images up."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipTextConfig,
    BlipVisionConfig,
    CLIPImageProcessor,
    GitConfig,
    GitForCausalLM,
    GitVisionConfig,
    GPT2Config,
    GPT2LMHeadModel,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3VisionConfig,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from tests.runtime.support.tiny_models import byte_level_tokenizer
from tests.runtime.support.tiny_visual import (
    SIDE,
    TEMPLATE,
    image_tokenizer,
    llama,
    make_llava,
    small,
    write_json,
)

SQUARE = {"height": SIDE, "width": SIDE}
LENGTH = 64
TEXT_KEYS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "initializer_range",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)


def make_blip(folder: Path) -> Path:
    """Save a random BLIP, whose decoder attends to the image."""
    tokenizer = byte_level_tokenizer(chat=False)
    torch.manual_seed(21)
    text = BlipTextConfig(
        vocab_size=len(tokenizer),
        encoder_hidden_size=32,
        max_position_embeddings=LENGTH,
        bos_token_id=0,
        eos_token_id=1,
        sep_token_id=3,
        pad_token_id=1,
        is_decoder=True,
        **small(),
    )
    config = BlipConfig(
        text_config=text.to_dict(), vision_config=BlipVisionConfig(image_size=SIDE, patch_size=8, **small()).to_dict()
    )
    return _save(folder, BlipForConditionalGeneration(config), tokenizer, BlipImageProcessor(size=SQUARE))


def make_git(folder: Path) -> Path:
    """Save a random GIT, which has the image before the text."""
    tokenizer = byte_level_tokenizer(chat=False)
    torch.manual_seed(22)
    config = GitConfig(
        vision_config=GitVisionConfig(image_size=SIDE, patch_size=8, **small()).to_dict(),
        vocab_size=len(tokenizer),
        max_position_embeddings=LENGTH,
        bos_token_id=0,
        eos_token_id=3,
        pad_token_id=1,
        **small(),
    )
    processor = CLIPImageProcessor(size=SQUARE, crop_size=SQUARE)
    return _save(folder, GitForCausalLM(config), tokenizer, processor)


def make_vit_gpt2(folder: Path) -> Path:
    """Save a random vision encoder-decoder of unequal widths: ViT and GPT-2 with cross-attention."""
    tokenizer = byte_level_tokenizer(chat=False)
    torch.manual_seed(23)
    vision = ViTConfig(image_size=SIDE, patch_size=8, **small())
    text = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=LENGTH,
        n_embd=48,
        n_layer=2,
        n_head=4,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=3,
        add_cross_attention=True,
    )
    model = VisionEncoderDecoderModel(encoder=ViTModel(vision), decoder=GPT2LMHeadModel(text))
    model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = 0
    model.config.pad_token_id = model.generation_config.pad_token_id = 1
    model.generation_config.eos_token_id = 3
    model.generation_config.no_repeat_ngram_size = 3
    return _save(folder, model, tokenizer, ViTImageProcessor(size=SQUARE))


def make_idefics3(folder: Path) -> Path:
    """Save a random Idefics3, whose processor cuts a large image into tiles and names their places."""
    rows = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
    tokenizer = image_tokenizer("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *rows)
    torch.manual_seed(24)
    config = Idefics3Config(
        vision_config=Idefics3VisionConfig(image_size=SIDE, patch_size=8, **small()).to_dict(),
        text_config=llama(len(tokenizer)).to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=1,
        tie_word_embeddings=False,
    )
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = 1
    processor = Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=True
    )
    _save(folder, model, tokenizer, processor)
    write_json(folder / "processor_config.json", processor_class="Idefics3Processor", image_seq_len=4)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def make_qwen2_vl(folder: Path) -> Path:
    """Save a random Qwen2-VL, whose image tokens have places on a grid and whose images keep their proportions."""
    tokenizer = image_tokenizer("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    torch.manual_seed(25)
    vision = {
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": 32,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 8,
        "initializer_range": 0.2,
    }
    text = {
        **{key: value for key, value in llama(len(tokenizer)).to_dict().items() if key in TEXT_KEYS},
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
    }
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = 1
    processor = Qwen2VLImageProcessorPil(patch_size=8, size={"shortest_edge": 16 * 16, "longest_edge": 96 * 96})
    _save(folder, model, tokenizer, processor)
    write_json(folder / "processor_config.json", processor_class="Qwen2VLProcessor")
    template = TEMPLATE.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")
    (folder / "chat_template.jinja").write_text(template)
    return folder


def _save(folder: Path, model: Any, tokenizer: Any, processor: Any) -> Path:
    for part in (model, tokenizer, processor):
        part.save_pretrained(folder)
    return folder


CAPTIONERS = {"blip": make_blip, "git": make_git, "vision-encoder-decoder": make_vit_gpt2}
CHATTERS = {"llava": make_llava, "idefics3": make_idefics3, "qwen2-vl": make_qwen2_vl}
