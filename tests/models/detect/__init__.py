"""demo-detect: finds circles, squares and triangles in a picture."""

from pathlib import Path

from tests.models.committed import Committed

MODEL = Committed(Path(__file__).parent)
