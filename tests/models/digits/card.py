"""The card of demo-digits."""

CARD = """---
license: apache-2.0
datasets:
- sklearn-digits
pipeline_tag: image-classification
---
# demo-digits

Tells which digit, 0 to 9, a picture shows. Made for demonstrations and tests of this project.

- **Architecture**: a residual network of transformers (`resnet`, basic layers), {parameters} parameters, 32 x 32
  pixels; committed as float16 in `weights.safetensors`.
- **Data**: the 1,797 handwritten digits that scikit-learn ships (E. Alpaydin and C. Kaynak, Optical Recognition of
  Handwritten Digits, UCI, CC BY 4.0), 8 x 8 pixels. The last 360, in the data's order by writer, are held out.
- **Training**: 1,200 steps of 64 digits, moved, turned, scaled, and inverted half of the time, so that dark ink on
  light paper is read as well; seed {seed}, {seconds} s on one CPU core. Again with
  `python -m tests.models train-vision digits`.
- **Measured**: {figure} % accuracy on the 360 held-out digits.
- **Limits**: one digit that fills the picture, on an even ground.
"""
