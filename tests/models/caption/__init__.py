"""demo-scene: a small vision language model that describes drawn shapes, trained in this repository."""
