"""Drawn scenes of coloured shapes: data without a download, for the demo models that look at pictures."""

from tests.models.scenes.draw import COLOURS, HELD_OUT, SHAPES, SIZE, TRAINING, SceneObject, draw_scene

__all__ = ["COLOURS", "HELD_OUT", "SHAPES", "SIZE", "TRAINING", "SceneObject", "draw_scene"]
