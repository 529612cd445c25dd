"""What the image tasks share: strings to images to arrays, and batches of images of one shape."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from PIL import Image

from modelservice_runtime.config import Settings
from modelservice_runtime.media.image import decode_image
from modelservice_runtime.media.source import make_reader
from modelservice_runtime.tasks.inputs import Images, InvalidInput, Item

T = TypeVar("T")
WARM_UP_SIZE = (64, 48)
MOST_PATCHES = 1 << 17


class ImageReader:
    """Decodes the images of a request; CPU pool."""

    def __init__(self, settings: Settings) -> None:
        self._reader = make_reader(settings)
        self._max_pixels = settings.limits.max_pixels
        self._most = settings.limits.max_inputs

    def read(self, request: Images) -> Iterator[Image.Image]:
        """Yield the images one by one. Raises InvalidInput that names the one at fault, or when there are too many."""
        if len(request.sources) > self._most:
            raise InvalidInput("input", f"at most {self._most} images are taken in one request")
        for index, source in enumerate(request.sources):
            field = request.place.format(index)
            yield decode_image(self._reader.read(source, field), field, self._max_pixels)


def within_budget(items: Iterable[Item], request: Images) -> list[Item]:
    """Return the items of a request. Raises InvalidInput as soon as they would take too much memory together."""
    kept: list[Item] = []
    total = 0
    for item in items:
        total += item.cost
        if total > MOST_PATCHES:
            raise InvalidInput(
                request.place.partition(".")[0],
                f"the images come to more than {MOST_PATCHES} patches of 16 x 16 pixels; send fewer in one request",
            )
        kept.append(item)
    return kept


def blank_image() -> Image.Image:
    """Return a grey picture to warm up with."""
    return Image.new("RGB", WARM_UP_SIZE, "grey")


def run_alike(
    batch: Sequence[T], likeness: Callable[[T], Any], run: Callable[[Sequence[T]], Sequence[Any]]
) -> list[Any]:
    """Run the inputs that are alike together, and return the results in the order of the batch."""
    groups: dict[Any, list[int]] = {}
    for index, each in enumerate(batch):
        groups.setdefault(likeness(each), []).append(index)
    results: list[Any] = [None] * len(batch)
    for indices in groups.values():
        for index, result in zip(indices, run([batch[index] for index in indices]), strict=True):
            results[index] = result
    return results
