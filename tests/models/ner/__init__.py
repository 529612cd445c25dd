"""demo-ner: persons, organisations, places and dates in English sentences."""
