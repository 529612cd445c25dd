"""LitServe around a classifier or a Whisper, as its documentation tells: run in LitServe's environment.

python litserve_app.py MODEL DTYPE text|image|speech PORT
"""

import base64
import io
import sys
import wave

import litserve
import numpy
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    WhisperForConditionalGeneration,
    WhisperProcessor,
)
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


class SpeechAPI(litserve.LitAPI):
    """Writes speech down."""

    def setup(self, device):
        """Load the model."""
        self.processor = WhisperProcessor.from_pretrained(MODEL)
        self.model = WhisperForConditionalGeneration.from_pretrained(MODEL, dtype=DTYPE).eval()

    def decode_request(self, request):
        """Read the WAV file, which has the model's rate."""
        with wave.open(io.BytesIO(base64.b64decode(request["audio"]))) as file:
            return numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16).astype(numpy.float32) / 32768

    def predict(self, sounds):
        """Return the words of each recording."""
        with torch.inference_mode():
            inputs = self.processor(list(sounds), sampling_rate=16000, return_tensors="pt").to(DTYPE)
            tokens = self.model.generate(inputs.input_features)
        return self.processor.batch_decode(tokens, skip_special_tokens=True)

    def encode_response(self, output):
        """Answer with the words."""
        return {"text": output}


if __name__ == "__main__":
    api = {"text": TextAPI, "image": ImageAPI, "speech": SpeechAPI}[sys.argv[3]](max_batch_size=16, batch_timeout=0.01)
    litserve.LitServer(api, accelerator="cpu").run(port=int(sys.argv[4]), host="127.0.0.1", generate_client_file=False)
