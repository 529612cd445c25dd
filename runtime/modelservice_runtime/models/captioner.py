"""The families of captioners: what runs them over slots, where a caption starts and how it ends.

BLIP and vision encoder-decoders look at the image through cross-attention; GIT has it as a prefix of the text. To the
task they are the same: a runner whose sources are pixel values.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.device import without_gradients
from modelservice_runtime.models.prefix_decoder import PrefixDecoder
from modelservice_runtime.models.seq2seq import Seq2SeqDecoder, Step
from modelservice_runtime.models.visual_decoder import to_device


@dataclass(frozen=True, slots=True)
class Captioner:
    """A model ready to caption.

    `runner` is a `DecoderRunner`, `verify` holds it against the plain model for some tokens, `speaker` is the part that
    `generate` runs, and `image_tokens` what an image counts for.
    """

    runner: Any
    verify: Callable[[Sequence[int]], None]
    budget_tokens: int
    speaker: Any
    start: int
    end_ids: frozenset[int]
    image_tokens: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The longest caption, the most rows, and the bytes that their keys and values may take."""

    length: int
    rows: int
    cache_bytes: int


class CrossParts:
    """`Parts` of a model whose decoder attends to the states of `see`, which takes pixel values."""

    def __init__(self, decoder: Any, see: Any) -> None:
        self.decoder = decoder
        self._see = see
        self._takes_positions = "position_ids" in inspect.signature(decoder.forward).parameters

    def encode(self, source: Mapping[str, Any]) -> Any:
        """Return the states of one image."""
        return self._see(to_device(source, self.decoder.device, self.decoder.dtype)["pixel_values"])

    def decode(self, step: Step) -> Any:
        """Run the decoder and its head."""
        positions = {"position_ids": step.positions} if self._takes_positions else {}
        return self.decoder(
            input_ids=step.ids,
            attention_mask=step.mask,
            encoder_hidden_states=step.states,
            encoder_attention_mask=step.source_mask,
            past_key_values=step.cache,
            use_cache=step.cache is not None,
            **positions,
        ).logits


def make_captioner(model: Any, sample: Mapping[str, Any], bounds: Bounds) -> Captioner:
    """Return the captioner of a model; `sample` is one image's pixel values. Raises UnusableModel."""
    match type(model).__name__:
        case "GitForCausalLM":
            return _make_git(model, sample, bounds)
        case "BlipForConditionalGeneration":
            return _make_blip(model, sample, bounds)
        case "VisionEncoderDecoderModel":
            return _make_encoder_decoder(model, sample, bounds)
        case name:
            raise UnusableModel(
                f"{name} is no captioner that this runtime serves",
                hint="captions are served for BLIP, GIT and vision encoder-decoder models",
            )


def _make_git(model: Any, sample: Mapping[str, Any], bounds: Bounds) -> Captioner:
    runner = PrefixDecoder(model, sample, bounds.length, bounds.rows, bounds.cache_bytes)
    start = _stated(model.generation_config.bos_token_id, model.config.bos_token_id)
    ends = _ends(model.generation_config.eos_token_id, model.config.eos_token_id)
    verify = partial(runner.verify, source=sample)
    return Captioner(runner, verify, runner.budget_tokens, model, start, ends, runner.prefix)


def _make_blip(model: Any, sample: Mapping[str, Any], bounds: Bounds) -> Captioner:
    parts = CrossParts(model.text_decoder, lambda pixels: model.vision_model(pixel_values=pixels).last_hidden_state)
    config = model.config.text_config
    return _make_crossing(parts, model.text_decoder, sample, bounds, config.bos_token_id, config.sep_token_id)


def _make_encoder_decoder(model: Any, sample: Mapping[str, Any], bounds: Bounds) -> Captioner:
    def see(pixels: Any) -> Any:
        states = model.encoder(pixel_values=pixels).last_hidden_state
        return model.enc_to_dec_proj(states) if hasattr(model, "enc_to_dec_proj") else states

    stated = model.generation_config
    start = _stated(stated.decoder_start_token_id, getattr(model.config, "decoder_start_token_id", None))
    ends = model.config.decoder.eos_token_id if stated.eos_token_id is None else stated.eos_token_id
    return _make_crossing(CrossParts(model.decoder, see), model, sample, bounds, start, ends)


def _make_crossing(
    parts: CrossParts, speaker: Any, sample: Mapping[str, Any], bounds: Bounds, start: int, ends: Any
) -> Captioner:
    image_tokens = _count_states(parts, sample)
    runner = Seq2SeqDecoder(parts, sample, image_tokens, bounds.length, bounds.rows, bounds.cache_bytes)
    return Captioner(runner, runner.verify, runner.budget_tokens, speaker, start, _ends(ends), image_tokens)


@without_gradients
def _count_states(parts: CrossParts, sample: Mapping[str, Any]) -> int:
    return int(parts.encode(sample).shape[1])


def _stated(*places: Any) -> int:
    """Return the first token id that is stated."""
    for token in places:
        if token is not None:
            return int(token)
    raise UnusableModel(
        "neither config.json nor generation_config.json names the token that a caption starts from",
        hint="add decoder_start_token_id (GIT: bos_token_id) to generation_config.json",
    )


def _ends(*places: Any) -> frozenset[int]:
    """Return the first ids that are stated as a set."""
    stated = next((ends for ends in places if ends is not None), ())
    return frozenset([stated] if isinstance(stated, int) else stated)
