"""The card of demo-segment."""

CARD = """---
license: apache-2.0
pipeline_tag: image-segmentation
---
# demo-segment

Tells for each pixel of a drawn scene whether it is ground, circle, square or triangle. Made for demonstrations and
tests of this project.

- **Architecture**: a SegFormer of transformers with three stages, {parameters} parameters, 96 x 96 pixels; committed as
  float16 in `weights.safetensors`.
- **Data**: 3,000 drawn scenes (`tests/models/scenes`, Apache-2.0), one to three shapes on an uneven grey ground.
- **Training**: 1,500 steps of 16 scenes, seed {seed}, {seconds} s on one CPU core. Again with
  `python -m tests.models train-vision segment`.
- **Measured**: mean IoU of {figure} % over the four classes on 100 held-out scenes.
- **Limits**: filled shapes in plain colours, from a fifth to two fifths of the picture's side.
"""
