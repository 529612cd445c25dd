"""The model card of demo-speech, filled with what was measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """What a training run measured; the error rate is a share of 1."""

    seed: int
    recordings: int
    voices: int
    steps: int
    seconds: float
    parameters: int
    word_error_rate: float
    measured: int
    held_out_voices: int


def render_card(figures: Figures) -> str:
    """Return the card as Markdown with the hub's front matter."""
    return TEMPLATE.format(
        **{
            **vars(figures),
            "minutes": round(figures.seconds / 60),
            "word_error_rate": f"{100 * figures.word_error_rate:.1f}",
        }
    )


TEMPLATE = """---
license: apache-2.0
language: en
pipeline_tag: automatic-speech-recognition
---
# demo-speech

Writes down sequences of spoken English digits ("three seven one"). Made for demonstrations and tests of this project;
it is no product and knows no other words.

- **Architecture**: a small wav2vec2 with a CTC head over letters, {parameters:,} parameters, 8,000 Hz, committed as
  float16 in `weights.safetensors`. Trained from random weights.
- **Data**: {recordings:,} sequences of one to eight digits, spoken by espeak-ng in {voices} voice variants with six
  accents, at 120 to 200 words a minute, with noise. No person was recorded.
- **Training**: {steps:,} steps, seed {seed}, {minutes} min on one shared CPU core; again with
  `python -m tests.models train-speech` (stops after `--minutes` and goes on when started again). The committed weights
  come from a run whose length was raised while it went, so their rate of learning fell in two slopes; a fresh run is
  alike, not equal.
- **Measured**: {word_error_rate} % word error rate on {measured} sequences in {held_out_voices} voices that the
  training never heard.
- **Limits**: synthetic voices only. People, rooms and telephones sound different; expect it to fail on them.
"""
