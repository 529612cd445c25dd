"""Tiny random vision models in the hub's layout, made with fixed seeds, and pictures for them."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    ConvNextForImageClassification,
    ConvNextImageProcessorPil,
    DetrForObjectDetection,
    DetrImageProcessorPil,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessorPil,
    PreTrainedTokenizerFast,
    RTDetrForObjectDetection,
    RTDetrImageProcessorPil,
    SegformerForSemanticSegmentation,
    SegformerImageProcessorPil,
    SiglipImageProcessorPil,
    SiglipModel,
    SwinForImageClassification,
    ViTForImageClassification,
    ViTImageProcessorPil,
    YolosForObjectDetection,
    YolosImageProcessorPil,
)

SIDE = 32
LABELS = {"id2label": {0: "cat", 1: "dog", 2: "bird"}, "label2id": {"cat": 0, "dog": 1, "bird": 2}}


def picture(seed: int, width: int = 48, height: int = 40) -> Image.Image:
    """Return a picture of coarse random blots."""
    blots = np.random.default_rng(seed).integers(0, 255, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(blots).resize((width, height), Image.Resampling.BICUBIC)


def to_url(image: Image.Image) -> str:
    """Return a picture as a data URL."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def make_vit(folder: Path, **extra: Any) -> Path:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = AutoConfig.for_model(
        "vit", **sizes, image_size=SIDE, patch_size=8, initializer_range=0.3, **LABELS | extra
    )
    return save(folder, ViTForImageClassification, config, ViTImageProcessorPil(size=square(SIDE)))


def make_convnext(folder: Path) -> Path:
    config = AutoConfig.for_model(
        "convnext", hidden_sizes=[16, 32], depths=[1, 1], num_stages=2, layer_scale_init_value=1.0, **LABELS
    )
    processor = ConvNextImageProcessorPil(size={"shortest_edge": SIDE})
    return save(folder, ConvNextForImageClassification, config, processor)


def make_swin(folder: Path) -> Path:
    config = AutoConfig.for_model(
        "swin", image_size=SIDE, patch_size=2, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4, **LABELS
    )
    return save(folder, SwinForImageClassification, config, ViTImageProcessorPil(size=square(SIDE)))


def make_yolos(folder: Path) -> Path:
    config = AutoConfig.for_model(
        "yolos", hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=[64, 64],
        patch_size=16, num_detection_tokens=5, initializer_range=0.3, use_mid_position_embeddings=False, **LABELS,
    )  # fmt: skip
    return save(folder, YolosForObjectDetection, config, YolosImageProcessorPil(size=square(64)))


def make_detr(folder: Path) -> Path:
    config = AutoConfig.for_model(
        "detr", use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=tiny_resnet(),
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=6, init_std=0.3, init_xavier_std=3.0, **LABELS,
    )  # fmt: skip
    processor = DetrImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    return save(folder, DetrForObjectDetection, config, processor)


def make_rt_detr(folder: Path) -> Path:
    backbone = AutoConfig.for_model(
        "rt_detr_resnet", embedding_size=16, hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = AutoConfig.for_model(
        "rt_detr", backbone_config=backbone, use_timm_backbone=False, backbone=None, encoder_hidden_dim=32,
        encoder_in_channels=[16, 32, 32], decoder_in_channels=[32, 32, 32], d_model=32, encoder_ffn_dim=32,
        decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2, decoder_layers=1, num_queries=6,
        num_denoising=0, initializer_range=0.3, **LABELS,
    )  # fmt: skip
    return save(folder, RTDetrForObjectDetection, config, RTDetrImageProcessorPil(size=square(64)))


def make_segformer(folder: Path) -> Path:
    config = AutoConfig.for_model(
        "segformer", num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[16, 32], patch_sizes=[7, 3],
        strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=32, initializer_range=0.3,
        **LABELS,
    )  # fmt: skip
    return save(folder, SegformerForSemanticSegmentation, config, SegformerImageProcessorPil(size=square(64)))


def make_mask2former(folder: Path) -> Path:
    backbone = AutoConfig.for_model(
        "swin", image_size=64, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = AutoConfig.for_model(
        "mask2former", backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32,
        encoder_feedforward_dim=32, encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=32,
        num_queries=6, init_std=0.3, init_xavier_std=3.0, **LABELS,
    )  # fmt: skip
    processor = Mask2FormerImageProcessorPil(size=square(64), size_divisor=32)
    return save(folder, Mask2FormerForUniversalSegmentation, config, processor)


def make_clip(folder: Path) -> Path:
    tokenizer = word_tokenizer(16)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 16, "eos_token_id": 2, "pad_token_id": 0}
    config = AutoConfig.for_model(
        "clip", text_config=sizes | text, vision_config=sizes | {"image_size": SIDE, "patch_size": 8}, projection_dim=16
    )
    tokenizer.save_pretrained(folder)
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=square(SIDE))
    return save(folder, CLIPModel, config, processor)


def make_siglip(folder: Path) -> Path:
    tokenizer = word_tokenizer(64)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "pad_token_id": 0}
    config = AutoConfig.for_model(
        "siglip", text_config=sizes | text, vision_config=sizes | {"image_size": SIDE, "patch_size": 8}
    )
    tokenizer.save_pretrained(folder)
    return save(folder, SiglipModel, config, SiglipImageProcessorPil(size=square(SIDE)))


def square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def tiny_resnet() -> Any:
    return AutoConfig.for_model(
        "resnet", embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", out_features=["stage2"]
    )


def word_tokenizer(longest: int) -> Any:
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[PAD]", "[UNK]", "[SEP]"], show_progress=False)
    raw.train_from_iterator(["this is a photo of a cat . a dog and a bird on a red chair ."] * 4, trainer)
    raw.post_processor = processors.TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", eos_token="[SEP]", model_max_length=longest,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def save(folder: Path, model: Any, config: Any, processor: Any) -> Path:
    torch.manual_seed(5)
    model(config).eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
