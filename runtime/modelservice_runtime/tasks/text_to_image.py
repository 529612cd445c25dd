"""Text to image: pictures drawn by a Stable Diffusion pipeline, step by step."""

import copy
import inspect
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.step_scheduler import StepScheduler
from modelservice_runtime.engine.token_scheduler import BatchLimits
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.models.denoiser import Denoiser, Drawing
from modelservice_runtime.models.device import choose_placement
from modelservice_runtime.models.diffusion import load_pipeline
from modelservice_runtime.models.loader import count_parameters
from modelservice_runtime.models.quantization import NONE
from modelservice_runtime.tasks.base import ModelFacts, TaskContext
from modelservice_runtime.tasks.inputs import InvalidInput, Item, Picture, PictureOptions, PicturePrompts

SEED_SPAN = 1 << 63
MOST_TOKENS = 8192
MULTIPLE = 8
STRETCH = 2


class TextToImageTask:
    """Implements `LoadedTask`."""

    def __init__(self, context: TaskContext, denoiser: Denoiser, facts: ModelFacts) -> None:
        limits = context.settings.limits
        batch = BatchLimits(limits.max_batch_tokens or MOST_TOKENS, limits.max_batch_size)
        self.facts = facts
        self.scheduler = StepScheduler(denoiser, context.intake, context.outbox, context.meter, batch)
        self._denoiser = denoiser
        pipeline = denoiser.pipeline
        self._tokenizer = copy.deepcopy(pipeline.tokenizer)  # the other one belongs to the torch thread
        self._longest = facts.context
        self._sizes = PictureSizes(pipeline.unet.config.sample_size, denoiser.scale, limits.max_drawn_pixels)
        self._most_steps = min(limits.max_steps, pipeline.scheduler.config.num_train_timesteps)
        defaults = inspect.signature(type(pipeline).__call__).parameters
        self._steps = min(defaults["num_inference_steps"].default, self._most_steps)
        self._guidance: float = defaults["guidance_scale"].default

    def warm_up(self) -> None:
        """Take one step of two small pictures and decode one of them."""
        width, height = self._sizes.smallest
        drawing = Drawing("a", "", width, height, 1, self._guidance, 0, 1)
        states = [self._denoiser.begin(drawing)[0] for _ in range(2)]
        for state, prediction in zip(states, self._denoiser.predict(states), strict=True):
            self._denoiser.apply(state, prediction)
        self._denoiser.finish(states[0])

    def prepare(self, request: PicturePrompts) -> Sequence[Item]:
        """Check sizes, steps and lengths, and make a drawing of each picture."""
        options = request.options
        width, height = self._sizes.choose(options.width, options.height, f"{request.place}size")
        steps = self._choose_steps(options, request.place)
        self._count_tokens(options.negative_prompt, f"{request.place}negative_prompt")
        seed = secrets.randbelow(SEED_SPAN) if options.seed is None else options.seed
        guidance = self._guidance if options.guidance is None else options.guidance
        cost = (width // self._denoiser.scale) * (height // self._denoiser.scale)
        items: list[Item] = []
        for prompt in request.prompts:
            tokens = self._count_tokens(prompt, "prompt")
            for _ in range(options.n):
                own = (seed + len(items)) % SEED_SPAN
                drawing = Drawing(prompt, options.negative_prompt, width, height, steps, guidance, own, tokens)
                items.append(Item(drawing, cost))
        return items

    def finish(self, request: PicturePrompts, items: Sequence[Item], results: Sequence[bytes]) -> list[Picture]:
        """Pair each picture with its size and seed."""
        return [
            Picture(png, item.value.width, item.value.height, item.value.seed)
            for item, png in zip(items, results, strict=True)
        ]

    def _choose_steps(self, options: PictureOptions, place: str) -> int:
        steps = self._steps if options.steps is None else options.steps
        if steps > self._most_steps:
            raise InvalidInput(
                f"{place}num_inference_steps", f"at most {self._most_steps} steps may be asked for, not {steps}"
            )
        return steps

    def _count_tokens(self, text: str, field: str) -> int:
        """Return the length of a text in tokens. Raises InvalidInput when the model would cut it off."""
        count = len(self._tokenizer(text, truncation=False).input_ids)
        if count > self._longest:
            raise InvalidInput(
                field,
                f"the text has {count} tokens, and this model reads {self._longest} with the marks around it; "
                f"shorten it by at least {count - self._longest}",
                reason="too_long",
            )
        return count


class PictureSizes:
    """Which sizes a model draws: about the one that it was trained on, within the limit of the settings."""

    def __init__(self, latent_size: int | Sequence[int], scale: int, most_pixels: int) -> None:
        rows, columns = (latent_size, latent_size) if isinstance(latent_size, int) else latent_size
        self.default = (columns * scale, rows * scale)
        self._multiple = max(scale, MULTIPLE)
        self._most = most_pixels

    @property
    def smallest(self) -> tuple[int, int]:
        """The smallest size."""
        width, height = (max(self._multiple, side // STRETCH) for side in self.default)
        return width - width % self._multiple, height - height % self._multiple

    def choose(self, width: int | None, height: int | None, field: str) -> tuple[int, int]:
        """Return the size to draw. Raises InvalidInput when the model or the settings do not allow it."""
        if width is None or height is None:
            width, height = self.default
        if width % self._multiple or height % self._multiple:
            raise InvalidInput(field, f"width and height must be multiples of {self._multiple}")
        for side, own, least in zip((width, height), self.default, self.smallest, strict=True):
            if not least <= side <= STRETCH * own:
                raise InvalidInput(
                    field,
                    f"this model draws {self.default[0]}x{self.default[1]}, and sides of {least} to {STRETCH * own}",
                )
        if width * height > self._most:
            raise InvalidInput(field, f"at most {self._most} pixels may be asked for (limits.max_drawn_pixels)")
        return width, height


def load(context: TaskContext) -> TextToImageTask:
    """Load the pipeline. Raises RuntimeFault."""
    settings, folder = context.settings, context.folder
    _refuse_settings(settings)
    placement = choose_placement(settings, folder.checkpoint_dtype, context.resources)
    pipeline = load_pipeline(folder, placement)
    models = [part for part in pipeline.components.values() if hasattr(part, "parameters")]
    facts = ModelFacts(
        sum(count_parameters(model) for model in models),
        placement.device,
        placement.dtype,
        _longest_prompt(pipeline),
    )
    denoiser = Denoiser(pipeline, placement.device, partial(context.meter.worked, "images", 1))
    return TextToImageTask(context, denoiser, facts)


def _refuse_settings(settings: Settings) -> None:
    if settings.engine.max_context:
        raise UnusableModel(
            "engine.max_context does not apply to pictures", hint="leave engine.maxContext at 0 for text-to-image"
        )
    if settings.engine.quantization != NONE:
        raise UnusableModel(
            "engine.quantization does not apply to pipelines of text-to-image",
            hint=f"set engine.quantization to {NONE} for text-to-image",
        )


def _longest_prompt(pipeline: Any) -> int:
    return min(int(pipeline.tokenizer.model_max_length), int(pipeline.text_encoder.config.max_position_embeddings))
