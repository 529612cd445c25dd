"""demo-image: a small Stable Diffusion that draws handwritten digits from captions such as "a seven"."""
