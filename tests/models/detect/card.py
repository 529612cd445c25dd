"""The card of demo-detect."""

CARD = """---
license: apache-2.0
pipeline_tag: object-detection
---
# demo-detect

Finds circles, squares and triangles, of whatever colour, in a picture. Made for demonstrations and tests of this
project.

- **Architecture**: a YOLOS of transformers with 25 detection tokens, {parameters} parameters, 96 x 96 pixels; committed
  as float16 in `weights.safetensors`.
- **Data**: 6,000 drawn scenes (`tests/models/scenes`, Apache-2.0), one to three shapes on an uneven grey ground.
- **Training**: 6,000 steps of 32 scenes, each detection token told what lies in its cell of the picture; seed {seed},
  {seconds} s on one CPU core. Again with `python -m tests.models train-vision detect`.
- **Measured**: AP50 of {figure} % on 200 held-out scenes.
- **Limits**: filled shapes in plain colours, from a fifth to two fifths of the picture's side, with room between them.
"""
