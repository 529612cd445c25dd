"""demo-speech: a small wav2vec2 that writes down spoken digits, trained on voices of espeak-ng."""
