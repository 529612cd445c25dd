"""demo-digits: tells which handwritten digit a picture shows."""

from pathlib import Path

from tests.models.committed import Committed

MODEL = Committed(Path(__file__).parent)
