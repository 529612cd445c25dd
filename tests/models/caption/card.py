"""The model card of demo-scene, filled with what was measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """What a training run measured; shares of 1."""

    seed: int
    steps: int
    scenes: int
    seconds: float
    parameters: int
    captions: float
    answers: float
    held_out: int


def render_card(figures: Figures) -> str:
    """Return the card as Markdown with the hub's front matter."""
    return TEMPLATE.format(
        **{
            **vars(figures),
            "seconds": round(figures.seconds),
            "captions": f"{100 * figures.captions:.1f}",
            "answers": f"{100 * figures.answers:.1f}",
        }
    )


TEMPLATE = """---
license: apache-2.0
language: en
pipeline_tag: image-text-to-text
---
# demo-scene

Describes drawn scenes of two or three coloured shapes ("a red circle left of a blue square") and answers plain
questions about them: how many, which colour, which shape, what is left of it. Made for demonstrations and tests of this
project; it knows nothing but these scenes.

- **Architecture**: LLaVA: a CLIP tower of 4 layers for pictures of 48 x 48 pixels in patches of 8, a projector, a Llama
  of 2 layers; {parameters:,} parameters, committed as float16 in `weights.safetensors`.
- **Words**: its own vocabulary of whole words; a word that no question of the training holds is unknown to it.
- **Data**: {scenes:,} scenes drawn by `drawing.py`, each seen once, with its caption and three questions with their
  answers; all made for this project (Apache-2.0).
- **Training**: {steps:,} steps, seed {seed}, {seconds} s on one thread of a shared CPU; again with
  `python -m tests.models train-scene`.
- **Measured** through `/v1/chat/completions` on {held_out} held-out scenes: {captions} % right captions (every thing
  with its colour and shape, no other thing, every stated relation true) and {answers} % right answers to questions.
- **Limits**: shapes stand apart, in a row or in a column, on a plain ground. Six colours and three shapes; anything
  else is called by one of their names.
"""
