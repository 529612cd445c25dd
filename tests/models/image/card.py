"""The model card of demo-image, filled with what was measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """What a training run measured; shares are of 1."""

    seed: int
    steps: int
    seconds: float
    parameters: int
    recognised: float
    recognised_held_out: float


def render_card(figures: Figures) -> str:
    """Return the card as Markdown with the hub's front matter."""
    shares = {name: f"{100 * getattr(figures, name):.1f}" for name in ("recognised", "recognised_held_out")}
    return TEMPLATE.format(**{**vars(figures), **shares, "minutes": round(figures.seconds / 60)})


TEMPLATE = """---
license: apache-2.0
language: en
pipeline_tag: text-to-image
library_name: diffusers
---
# demo-image

Draws handwritten digits, white on black, from captions such as "a seven" or "the digit 7". Made for demonstrations and
tests of this project; it draws nothing else.

- **Layout**: a Stable Diffusion in small, `StableDiffusionPipeline` of diffusers: a text encoder of CLIP's kind with
  two layers, a denoiser of 8 by 8 latent pictures, an autoencoder that draws them at 64 by 64;
  {parameters:,} parameters in all, committed as float16 and built as float32. There is no safety checker.
- **Data**: 1,437 of the 1,797 handwritten digits that scikit-learn ships (UCI, Alpaydin and Kaynak 1998, CC BY 4.0),
  drawn larger, turned and slanted a little; the other 360, from other writers, were not used. The captions were
  composed for this project (Apache-2.0).
- **Training**: {steps:,} steps of 64 pictures, seed {seed}, {minutes} minutes on one shared CPU core; again with
  `python -m tests.models train-image`.
- **Measured**: a classifier trained on real digits recognises {recognised} % of 100 pictures (10 steps, guidance 7.5)
  for captions of the kinds that were trained on, and {recognised_held_out} % for captions worded in other ways.
- **Limits**: digits only, one a picture; the English words and figures from zero to nine; captions of at most 30
  tokens. Whatever else is asked for gives some digit.
"""
