"""Stable Diffusion, one step at a time: what its pipeline does in a loop of its own, in pieces that a scheduler calls.

Every picture has a noise scheduler and a random generator of its own, so that pictures at different steps, with
different numbers of steps and different seeds share a forward pass of the denoiser, and a picture comes out the same
whatever it shared its passes with. With guidance a picture takes two rows of the pass: one with the negative prompt,
one with the prompt.

The pipeline's methods encode prompts and name the sizes; the steps equal those of its `__call__`.
"""

import copy
import inspect
import io
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from modelservice_runtime.models.device import is_fatal, without_gradients


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is to be drawn; `tokens` is the length of the prompt."""

    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    guidance: float
    seed: int
    tokens: int


@dataclass(slots=True, eq=False)
class Canvas:
    """A picture between two steps: its latents [1, channels, h, w], and its condition, a row or two of each tensor."""

    latents: Any
    hidden: Any
    added: Mapping[str, Any]
    scheduler: Any
    guidance: float
    extra: Mapping[str, Any]
    step: int = 0
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = len(self.hidden)


class Denoiser:
    """Implements `StepRunner` for `Drawing`; results are PNG files."""

    def __init__(self, pipeline: Any, device: str, drawn: Callable[[], None]) -> None:
        self.pipeline = pipeline
        self.scale: int = pipeline.vae_scale_factor
        self._device = device
        self._drawn = drawn
        self._is_large = hasattr(pipeline, "text_encoder_2")
        parameters = inspect.signature(pipeline.scheduler.step).parameters
        self._takes_generator = "generator" in parameters
        if pipeline.vae.dtype == torch.float16 and pipeline.vae.config.force_upcast:
            pipeline.vae.to(torch.float32)  # its activations overflow float16

    def shape(self, item: Drawing) -> Hashable:
        """Return the size: latents of equal size are stacked."""
        return item.width, item.height

    @without_gradients
    def begin(self, item: Drawing) -> tuple[Canvas, int]:
        """Encode the prompts and draw the noise that the picture starts from."""
        scheduler = copy.deepcopy(self.pipeline.scheduler)
        scheduler.set_timesteps(item.steps, device=self._device)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)
        hidden, added = self._encode_large(item) if self._is_large else self._encode(item)
        generator = torch.Generator("cpu").manual_seed(item.seed)
        size = (1, self.pipeline.unet.config.in_channels, item.height // self.scale, item.width // self.scale)
        noise = torch.randn(size, generator=generator, dtype=hidden.dtype).to(self._device)
        extra = {"generator": generator} if self._takes_generator else {}
        canvas = Canvas(noise * scheduler.init_noise_sigma, hidden, added, scheduler, item.guidance, extra)
        return canvas, len(scheduler.timesteps)

    @without_gradients
    def predict(self, states: Sequence[Canvas]) -> list[Any]:
        """Return the guided prediction of each picture, from one forward pass for all."""
        inputs, times = [], []
        for canvas in states:
            time = canvas.scheduler.timesteps[canvas.step]
            scaled = canvas.scheduler.scale_model_input(canvas.latents, time)
            inputs.append(scaled.expand(canvas.rows, -1, -1, -1))
            times.append(time.expand(canvas.rows))
        added = {name: torch.cat([canvas.added[name] for canvas in states]) for name in states[0].added}
        output = self.pipeline.unet(
            torch.cat(inputs),
            torch.cat(times),
            encoder_hidden_states=torch.cat([canvas.hidden for canvas in states]),
            added_cond_kwargs=added or None,
            return_dict=False,
        )[0]
        parts = output.split([canvas.rows for canvas in states])
        return [_guide(part, canvas.guidance) for part, canvas in zip(parts, states, strict=True)]

    @without_gradients
    def apply(self, state: Canvas, prediction: Any) -> None:
        """Take a step with a prediction."""
        time = state.scheduler.timesteps[state.step]
        stepped = state.scheduler.step(prediction, time, state.latents, **state.extra, return_dict=False)[0]
        state.latents = stepped.to(state.latents.dtype)
        state.step += 1

    @without_gradients
    def finish(self, state: Canvas) -> bytes:
        """Return the picture as a PNG file. Raises ArithmeticError when its values are no numbers."""
        vae = self.pipeline.vae
        latents = _unscale(state.latents, vae.config).to(vae.dtype)
        image = vae.decode(latents, return_dict=False)[0]
        if not bool(image.isfinite().all()):
            raise ArithmeticError("the decoded picture holds values that are no numbers")
        picture = self.pipeline.image_processor.postprocess(image.float(), output_type="pil")[0]
        file = io.BytesIO()
        picture.save(file, format="PNG")
        self._drawn()
        return file.getvalue()

    def is_fatal(self, error: Exception) -> bool:
        """Tell whether the device is beyond use after this error."""
        return is_fatal(error)

    def _encode(self, item: Drawing) -> tuple[Any, dict[str, Any]]:
        """Return the encoded prompts [1 or 2, length, width]."""
        with_prompt, without = self.pipeline.encode_prompt(
            item.prompt, self._device, 1, _is_guided(item), item.negative_prompt
        )
        return _stack(without, with_prompt), {}

    def _encode_large(self, item: Drawing) -> tuple[Any, dict[str, Any]]:
        """Return the encoded prompts of both encoders, and what SDXL is told besides: the pooled prompt and sizes."""
        with_prompt, without, pooled, pooled_without = self.pipeline.encode_prompt(
            prompt=item.prompt,
            device=self._device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=_is_guided(item),
            negative_prompt=item.negative_prompt or None,
        )
        size = (item.height, item.width)
        width = self.pipeline.text_encoder_2.config.projection_dim
        ids = self.pipeline._get_add_time_ids(
            size, (0, 0), size, dtype=with_prompt.dtype, text_encoder_projection_dim=width
        ).to(self._device)
        hidden = _stack(without, with_prompt)
        return hidden, {"text_embeds": _stack(pooled_without, pooled), "time_ids": ids.repeat(len(hidden), 1)}


def _is_guided(item: Drawing) -> bool:
    return item.guidance > 1


def _stack(without: Any, with_prompt: Any) -> Any:
    return with_prompt if without is None else torch.cat([without, with_prompt])


def _guide(output: Any, guidance: float) -> Any:
    """Move away from the prediction without the prompt, as far as the guidance says (Ho and Salimans 2022)."""
    if len(output) == 1:
        return output
    without, with_prompt = output.chunk(2)
    return without + guidance * (with_prompt - without)


def _unscale(latents: Any, config: Any) -> Any:
    mean, spread = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is None or spread is None:
        return latents / config.scaling_factor

    def channels(values: Sequence[float]) -> Any:
        return torch.tensor(values, device=latents.device, dtype=latents.dtype).view(1, -1, 1, 1)

    return latents * channels(spread) / config.scaling_factor + channels(mean)
