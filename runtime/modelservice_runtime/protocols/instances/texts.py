"""Instances that are texts."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from modelservice_runtime.protocols.instances.results import FillParameters, GenerationParameters
from modelservice_runtime.protocols.strict import StrictBody, Text
from modelservice_runtime.tasks.inputs import GenerationOptions, MaskedTexts, TextPair, TextPrompts, Texts

NonEmpty = Annotated[Text, Field(min_length=1)]


class TextInstance(StrictBody):
    """A text to read."""

    text: NonEmpty


class TextOrPairInstance(StrictBody):
    """A text to read, by itself or together with another one."""

    text: NonEmpty
    text_pair: NonEmpty | None = None

    def to_task(self) -> str | TextPair:
        """Return what the task reads."""
        return self.text if self.text_pair is None else TextPair(self.text, self.text_pair)


class MaskedInstance(StrictBody):
    """A text with masks to fill: the model's own mask token, or `[MASK]` or `<mask>`, which every model takes."""

    text: NonEmpty


class PromptInstance(StrictBody):
    """A text to continue."""

    prompt: NonEmpty


def build_texts(instances: Sequence[TextInstance], _parameters: StrictBody) -> Texts:
    """Return the texts as an encoder's request."""
    return Texts([instance.text for instance in instances])


def build_texts_or_pairs(instances: Sequence[TextOrPairInstance], _parameters: StrictBody) -> Texts:
    """Return the texts and pairs as an encoder's request."""
    return Texts([instance.to_task() for instance in instances])


def build_masked(instances: Sequence[MaskedInstance], parameters: FillParameters) -> MaskedTexts:
    """Return the texts with as many proposals wanted for each mask as the parameters say."""
    return MaskedTexts([instance.text for instance in instances], parameters.top_k)


def build_prompts(instances: Sequence[PromptInstance], parameters: GenerationParameters) -> TextPrompts:
    """Return the prompts as a decoder's request."""
    prompts = [instance.prompt for instance in instances]
    return TextPrompts(prompts, generation_options(parameters), "parameters.max_new_tokens")


def generation_options(parameters: GenerationParameters) -> GenerationOptions:
    """Return how one answer for each instance is sampled."""
    return GenerationOptions(
        max_new_tokens=parameters.max_new_tokens,
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        top_k=parameters.top_k,
        seed=parameters.seed,
        stop=parameters.stop,
        n=1,
    )
