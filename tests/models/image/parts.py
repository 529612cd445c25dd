"""The parts of demo-image: a Stable Diffusion in small, in the classes and the layout that diffusers has for it."""

import json
from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tests.models.image.captions import every_caption
from tests.models.image.pictures import LARGE, SMALL

LONGEST = 32
VOCABULARY = 768
WIDTH = 64
END = "</w>"
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def make_tokenizer() -> CLIPTokenizer:
    """Learn a byte-level tokenizer, CLIP's kind, from the captions; it reads any text, the captions' words whole.

    The endings are given in advance: the trainer else numbers them by chance, and orders equal pairs by number.
    """
    raw = CLIPTokenizer().backend_tokenizer
    raw.model = models.BPE(end_of_word_suffix=END, continuing_subword_prefix="", unk_token=SPECIAL[1])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    endings = [letter + END for letter in alphabet]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[*SPECIAL, *endings],
        initial_alphabet=alphabet,
        end_of_word_suffix=END,
        show_progress=False,
    )
    raw.train_from_iterator(every_caption(), trainer)
    merges = [tuple(pair) for pair in json.loads(raw.to_str())["model"]["merges"]]
    words = [*SPECIAL, *alphabet, *endings, *("".join(pair) for pair in merges)]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LONGEST)


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return CLIP's text encoder with two layers."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LONGEST,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_autoencoder() -> AutoencoderKL:
    """Return an autoencoder whose latent picture is 8 by 8 with one channel."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 16, 24, 24),
        layers_per_block=1,
        latent_channels=1,
        norm_num_groups=4,
        sample_size=LARGE,
        scaling_factor=1.0,
    )


def make_unet() -> UNet2DConditionModel:
    """Return the denoiser of latent pictures."""
    return UNet2DConditionModel(
        sample_size=SMALL,
        in_channels=1,
        out_channels=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(40, 80),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def make_scheduler() -> DDIMScheduler:
    """Return the noise schedule; deterministic steps."""
    return DDIMScheduler(
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def make_pipeline(parts: dict[str, Any]) -> StableDiffusionPipeline:
    """Put the trained parts together; there is no safety checker."""
    return StableDiffusionPipeline(
        **parts,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )


def make_parts() -> dict[str, Any]:
    """Return all parts with fresh weights."""
    tokenizer = make_tokenizer()
    return {
        "tokenizer": tokenizer,
        "text_encoder": make_text_encoder(tokenizer),
        "vae": make_autoencoder(),
        "unet": make_unet(),
    }
