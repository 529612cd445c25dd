"""Tiny random pipelines of diffusers in the hub's layout, made with fixed seeds, and what the plain call draws."""

from pathlib import Path
from typing import Any

import diffusers
import torch
from tokenizers import pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

PIXELS = 32
LONGEST = 40
WIDTH = 32
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def make_stable_diffusion(folder: Path, scheduler: str = "PNDMScheduler") -> Path:
    """Save a random Stable Diffusion that draws 32 by 32 from latents of 8 by 8."""
    torch.manual_seed(3)
    tokenizer = _tokenizer()
    diffusers.StableDiffusionPipeline(
        unet=_unet(cross_attention_dim=WIDTH),
        vae=_autoencoder(),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        tokenizer=tokenizer,
        scheduler=make_scheduler(scheduler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def make_stable_diffusion_xl(folder: Path, scheduler: str = "EulerDiscreteScheduler") -> Path:
    """Save a random SDXL: two text encoders, and sizes among the conditions."""
    torch.manual_seed(4)
    tokenizer = _tokenizer()
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "transformer_layers_per_block": (1, 2)}
    diffusers.StableDiffusionXLPipeline(
        unet=_unet(
            cross_attention_dim=2 * WIDTH,
            use_linear_projection=True,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
            **added,
        ),
        vae=_autoencoder(),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        scheduler=make_scheduler(scheduler),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


def make_scheduler(name: str) -> Any:
    """Return a noise scheduler of diffusers with the values of Stable Diffusion."""
    values = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    return getattr(diffusers, name).from_config({**values, "skip_prk_steps": True, "clip_sample": False})


def draw(folder: Path, prompt: str, *, seed: int, xl: bool = False, **arguments: Any) -> Any:
    """Return the picture of the plain pipeline."""
    kind: Any = diffusers.StableDiffusionXLPipeline if xl else diffusers.StableDiffusionPipeline
    pipeline = kind.from_pretrained(folder, **({"add_watermarker": False} if xl else {"safety_checker": None}))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(prompt, generator=torch.Generator().manual_seed(seed), **arguments).images[0]


def _tokenizer() -> CLIPTokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*SPECIAL, *letters, *(f"{letter}</w>" for letter in letters)]
    return CLIPTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=LONGEST)


def _text_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LONGEST,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def _unet(**extra: Any) -> Any:
    return diffusers.UNet2DConditionModel(
        sample_size=PIXELS // 4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=4,
        **extra,
    )


def _autoencoder() -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=PIXELS,
    )
