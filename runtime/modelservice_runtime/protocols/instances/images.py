"""Instances that are images, what is found in them, and the parameters that shape it."""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import Field, field_validator

from modelservice_runtime.protocols.openai_content import MediaSource
from modelservice_runtime.protocols.strict import StrictBody
from modelservice_runtime.tasks.inputs import (
    Detection,
    DetectionOptions,
    Images,
    LabelledImages,
    MaskOptions,
    Segmentation,
)

Share = Annotated[float, Field(ge=0, le=1)]
Candidate = Annotated[str, Field(min_length=1, max_length=512)]

PLACE = "instances.{}.image"
EXAMPLE = {
    "image": "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAJklEQVR42mP8//8/AzbAxIADsECo64ZGcCHN8+fw6SBdgpFkVwEAfBQJC0lihfcAAAAA"
    "SUVORK5CYII="
}


class ImageInstance(StrictBody):
    """An image: a `data:` URL, or the file in base64."""

    image: MediaSource


class CandidatesInstance(StrictBody):
    """An image and the labels that may fit it.

    `hypothesis_template` makes each label a sentence; `{}` stands for the label.
    """

    image: MediaSource
    candidate_labels: Annotated[list[Candidate], Field(min_length=1, max_length=256)]
    hypothesis_template: Annotated[str, Field(max_length=512)] = "This is a photo of {}."

    @field_validator("hypothesis_template")
    @classmethod
    def _hold_the_label_once(cls, value: str) -> str:
        if value.count("{}") != 1 or value.replace("{}", "").strip("{}") != value.replace("{}", ""):
            raise ValueError("must hold {} once, where the label goes")
        return value


class ImageParameters(StrictBody):
    """Parameters that the task itself reads."""

    def options(self) -> DetectionOptions | MaskOptions:
        """Return them as the task reads them."""
        raise NotImplementedError


class DetectionParameters(ImageParameters):
    """`threshold` is the score that an object must exceed."""

    threshold: Share = 0.5

    def options(self) -> DetectionOptions:
        """Return them as the task reads them."""
        return DetectionOptions(self.threshold)


class MaskParameters(ImageParameters):
    """How masks are made; the thresholds are for instance and panoptic segmentation."""

    subtask: Literal["panoptic", "instance", "semantic"] | None = None
    threshold: Share = 0.9
    mask_threshold: Share = 0.5
    overlap_mask_area_threshold: Share = 0.5

    def options(self) -> MaskOptions:
        """Return them as the task reads them."""
        return MaskOptions(self.subtask, self.threshold, self.mask_threshold, self.overlap_mask_area_threshold)


def build_images(instances: Sequence[ImageInstance], parameters: StrictBody) -> Images:
    """Return the images as a request."""
    options = parameters.options() if isinstance(parameters, ImageParameters) else None
    return Images([instance.image for instance in instances], PLACE, options)


def build_candidates(instances: Sequence[CandidatesInstance], _parameters: StrictBody) -> LabelledImages:
    """Return the images with their labels as a request."""
    return LabelledImages(
        Images([instance.image for instance in instances], PLACE),
        [instance.candidate_labels for instance in instances],
        [
            [instance.hypothesis_template.replace("{}", label) for label in instance.candidate_labels]
            for instance in instances
        ],
    )


def write_boxes(result: Sequence[Detection], _parameters: DetectionParameters) -> list[dict[str, Any]]:
    """Return the objects with their boxes in pixels of the image."""
    return [
        {
            "label": each.label,
            "score": each.score,
            "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), each.box, strict=True)),
        }
        for each in result
    ]


def write_masks(result: Segmentation, _parameters: MaskParameters) -> list[dict[str, Any]]:
    """Return the segments; each mask is a black and white PNG of the image's size, in base64."""
    return [
        {"label": each.label, "score": each.score, "mask": _encode_mask(result.ids == each.id, result.size)}
        for each in result.segments
    ]


def _encode_mask(mask: Any, size: tuple[int, int]) -> str:
    image = Image.fromarray(mask.astype("uint8") * 255)
    if image.size != size:
        image = image.resize(size, Image.Resampling.NEAREST)
    buffer = BytesIO()
    image.convert("1", dither=Image.Dither.NONE).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
