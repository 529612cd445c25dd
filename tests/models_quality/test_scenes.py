"""Scenes follow from their seed, and what is said about them is what they show."""

import numpy as np
import pytest

from tests.models.scenes import COLOURS, SHAPES, SIZE, draw_scene


def test_scene_is_the_same_when_its_seed_is() -> None:
    first, again, other = draw_scene(7), draw_scene(7), draw_scene(8)
    assert np.array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_mask_and_colours_fill_the_boxes_and_nothing_else(count: int) -> None:
    for seed in range(20):
        image, objects, mask = draw_scene(seed, count)
        assert (image.shape, mask.shape, len(objects)) == ((SIZE, SIZE, 3), (SIZE, SIZE), count)
        rest = mask.copy()
        for shape, colour, (left, top, right, bottom) in objects:
            inside = mask[top:bottom, left:right] == 1 + SHAPES.index(shape)
            assert 0.4 < inside.mean() <= 1
            shown = image[top:bottom, left:right][inside].mean(axis=0)
            nearest = min(COLOURS, key=lambda name: float(np.abs(shown - np.array(COLOURS[name])).sum()))
            assert nearest == colour
            rest[top:bottom, left:right] = 0
        assert not rest.any()
