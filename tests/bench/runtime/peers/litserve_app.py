"""LitServe around a classifier of texts or images, as its documentation tells: run in LitServe's environment.

python litserve_app.py MODEL DTYPE text|image PORT
"""

import base64
import io
import sys

import litserve
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, AutoModelForSequenceClassification
from transformers import AutoTokenizer as Tokenizer

MODEL, DTYPE = sys.argv[1], getattr(torch, sys.argv[2])
"""Read on import: LitServe's workers are spawned, and import this file again."""


class TextAPI(litserve.LitAPI):
    """Classifies texts."""

    def setup(self, device):
        """Load the model."""
        self.tokenizer = Tokenizer.from_pretrained(MODEL)
        self.model = AutoModelForSequenceClassification.from_pretrained(MODEL, dtype=DTYPE).eval()

    def decode_request(self, request):
        """Take the text out of the request."""
        return request["input"]

    def predict(self, texts):
        """Return the probabilities of each text."""
        with torch.inference_mode():
            inputs = self.tokenizer(list(texts), return_tensors="pt", padding=True)
            return self.model(**inputs).logits.float().softmax(-1).tolist()

    def encode_response(self, output):
        """Answer with the probabilities."""
        return {"scores": output}


class ImageAPI(litserve.LitAPI):
    """Classifies images."""

    def setup(self, device):
        """Load the model."""
        self.processor = AutoImageProcessor.from_pretrained(MODEL)
        self.model = AutoModelForImageClassification.from_pretrained(MODEL, dtype=DTYPE).eval()

    def decode_request(self, request):
        """Decode the image."""
        return Image.open(io.BytesIO(base64.b64decode(request["image"]))).convert("RGB")

    def predict(self, images):
        """Return the probabilities of each image."""
        with torch.inference_mode():
            inputs = self.processor(list(images), return_tensors="pt").to(DTYPE)
            return self.model(**inputs).logits.float().softmax(-1).tolist()

    def encode_response(self, output):
        """Answer with the probabilities."""
        return {"scores": output}


if __name__ == "__main__":
    api = {"text": TextAPI, "image": ImageAPI}[sys.argv[3]](max_batch_size=16, batch_timeout=0.01)
    litserve.LitServer(api, accelerator="cpu").run(port=int(sys.argv[4]), host="127.0.0.1", generate_client_file=False)
