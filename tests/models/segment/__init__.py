"""demo-segment: tells for each pixel of a scene which shape it belongs to."""

from pathlib import Path

from tests.models.committed import Committed

MODEL = Committed(Path(__file__).parent)
