"""What each row measures, through HTTP alone, on data that no model was trained on."""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import httpx
import jiwer
from PIL import Image

from tests.models import chat_trials
from tests.models.build import package_store
from tests.models.caption.evaluate import MOST_WORDS, measure_scenes
from tests.models.detect.evaluate import THRESHOLD, ap50
from tests.models.digits.evaluate import accuracy as digit_accuracy
from tests.models.image.evaluate import STEPS, prompts
from tests.models.image.evaluate import accuracy as picture_accuracy
from tests.models.ner.corpus import Mention
from tests.models.ner.evaluate import entity_f1
from tests.models.ner.evaluate import held_out as held_out_entities
from tests.models.segment.evaluate import mean_iou
from tests.models.sentiment.evaluate import held_out_written as held_out_opinions
from tests.models.sentiment.reviews import read_reviews
from tests.models.speech.sentences import HELD_OUT
from tests.models.speech.synthesis import Utterance, samples_of, speak, to_file
from tests.models.speech.synthesis import held_out as spoken_sequences
from tests.models_quality import removal

SECONDS = 300
BATCH = 64
INPUTS = 256
PICTURES = 20
CAPTIONED = 200
EXPLAINED = 12
RATE = 16_000
TRIPLES = (
    ("A man is playing a guitar.", "Someone plays an instrument.", "The stock market fell sharply on Monday."),
    ("The cat sleeps on the sofa.", "A kitten is napping on the couch.", "He repaired the engine of his motorcycle."),
    ("How do I reset my password?", "I forgot my login and need a new one.", "What time does the museum open?"),
    ("The river flooded the village.", "Heavy rain put the town under water.", "She won the chess tournament."),
    (
        "The patient has a high fever.",
        "The sick man's temperature is very high.",
        "The patient lawyer waited for hours.",
    ),
)


def ask(url: str, path: str, **body: Any) -> Any:
    """Post a JSON body and return the answer. Raises httpx.HTTPStatusError with the server's words."""
    return _answer(httpx.post(f"{url}{path}", json=body, timeout=SECONDS))


def _answer(response: httpx.Response) -> Any:
    if response.is_error:
        raise httpx.HTTPStatusError(response.text, request=response.request, response=response)
    return response.json()


def _predict(url: str, model: str, images: Sequence[Image.Image], **parameters: Any) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(images), BATCH):
        instances = [_png(image) for image in images[start : start + BATCH]]
        found += ask(url, f"/v1/models/{model}:predict", instances=instances, parameters=parameters)["predictions"]
    return found


def _png(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _image(encoded: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(encoded)))


def _chat(url: str, model: str) -> chat_trials.Ask:
    def first_choice(**body: Any) -> dict[str, Any]:
        choice: dict[str, Any] = ask(url, "/v1/chat/completions", model=model, **body)["choices"][0]
        return choice

    return first_choice


def dialogue(url: str, model: str) -> float:
    """The share of questions whose answer has the right word in it."""
    return chat_trials.share_of_facts(_chat(url, model))


def structured(url: str, model: str) -> float:
    """The share of answers that follow the JSON schema that was asked for."""
    return chat_trials.share_of_valid_json(_chat(url, model))


def tools(url: str, model: str) -> float:
    """The share of required calls that parse, with all of their arguments."""
    return chat_trials.share_of_parsed_calls(_chat(url, model))


def sentiment(url: str, model: str) -> float:
    """The share of held-out reviews whose label is right; those of like length go together, which saves time."""
    examples = sorted(read_reviews(package_store()).held_out, key=lambda example: len(example.text))
    right = 0
    for start in range(0, len(examples), INPUTS):
        part = examples[start : start + INPUTS]
        data = ask(url, "/v1/classify", model=model, input=[example.text for example in part])["data"]
        right += sum(
            (item["label"] == "POSITIVE") == bool(example.label) for item, example in zip(data, part, strict=True)
        )
    return right / len(examples)


def entities(url: str, model: str) -> float:
    """The F1 of whole entities in held-out sentences with names that are new."""
    sentences = held_out_entities()
    texts = [sentence.text for sentence in sentences]
    data = ask(url, "/v1/classify", model=model, input=texts, aggregation_strategy="average")["data"]
    found = [{Mention(each["label"], each["start"], each["end"]) for each in item["entities"]} for item in data]
    return entity_f1(found, sentences)


def similarity(url: str, model: str) -> float:
    """The share of triples in which a sentence is nearer to its paraphrase than to a stranger."""
    right = 0
    for anchor, near, far in TRIPLES:
        answer = ask(url, "/v1/similarity", model=model, source_sentence=anchor, sentences=[near, far])
        scores = {item["index"]: item["score"] for item in answer["data"]}
        right += scores[0] > scores[1]
    return right / len(TRIPLES)


def reranking(url: str, model: str) -> float:
    """The share of queries whose paraphrase comes first among the sentences of all triples."""
    documents = [near for _, near, _ in TRIPLES] + [far for _, _, far in TRIPLES]
    first = [
        ask(url, "/v1/rerank", model=model, query=anchor, documents=documents)["results"][0]["index"]
        for anchor, _, _ in TRIPLES
    ]
    return sum(found == place for place, found in enumerate(first)) / len(TRIPLES)


def digits(url: str, model: str) -> float:
    """The share of held-out handwritten digits that are read rightly."""
    return digit_accuracy(lambda images: [labels[0]["label"] for labels in _predict(url, model, images)])


def shapes(url: str, model: str) -> float:
    """The average precision at half overlap over held-out scenes."""
    return ap50(lambda images: _predict(url, model, images, threshold=THRESHOLD))


def regions(url: str, model: str) -> float:
    """The mean intersection over union over held-out scenes."""

    def masks(images: Sequence[Image.Image]) -> list[list[dict[str, Any]]]:
        found = _predict(url, model, images)
        return [[each | {"mask": _image(each["mask"])} for each in segments] for segments in found]

    return mean_iou(masks)


def captions(url: str, model: str) -> float:
    """The share of held-out scenes whose caption states the right things and relations."""

    def say(messages: list[dict[str, Any]]) -> str:
        answer = ask(url, "/v1/chat/completions", model=model, messages=messages, temperature=0, max_tokens=MOST_WORDS)
        text: str = answer["choices"][0]["message"]["content"]
        return text

    return measure_scenes(say, CAPTIONED).captions


def pictures(url: str, model: str) -> float:
    """The share of drawn digits in which a classifier sees what was asked for."""
    asked = prompts(PICTURES, held_out=False)
    drawn = [
        ask(url, "/v1/images/generations", model=model, prompt=text, seed=seed, num_inference_steps=STEPS)
        for seed, (text, _) in enumerate(asked)
    ]
    return picture_accuracy([_image(each["data"][0]["b64_json"]) for each in drawn], [digit for _, digit in asked])


def transcripts(url: str, model: str) -> float:
    """The word error rate over held-out sentences that espeak-ng speaks."""
    heard = [_hear(url, model, Utterance(sentence, "en-us", 150, 50)) for sentence in HELD_OUT]
    return float(jiwer.wer([_plain(sentence) for sentence in HELD_OUT], heard))


def spoken_digits(url: str, model: str) -> float:
    """The word error rate over sequences of digits in voices that were not trained on."""
    said = spoken_sequences()
    heard = [_hear(url, model, utterance) for utterance in said]
    return float(jiwer.wer([utterance.text for utterance in said], heard))


def explanations(url: str, model: str) -> float:
    """How much more of the score goes with the most important fifth of the tokens than with a random fifth."""
    lost = by_chance = 0.0
    examples = held_out_opinions()
    for seed, example in enumerate(examples[:: len(examples) // EXPLAINED][:EXPLAINED]):
        found = ask(url, "/v1/explain", model=model, input={"text": example.text}, method="integrated_gradients")[
            "data"
        ][0]
        tokens, target = found["tokens"], found["target"]
        removals = [removal.strongest([token["score"] for token in tokens]), *removal.by_chance(len(tokens), 3, seed)]
        texts = [removal.without(example.text, tokens, each) for each in removals]
        data = ask(url, "/v1/classify", model=model, input=texts)["data"]
        left = [next(each["score"] for each in item["labels"] if each["label"] == target["label"]) for item in data]
        lost += target["score"] - left[0]
        by_chance += target["score"] - sum(left[1:]) / len(left[1:])
    return (lost - by_chance) / EXPLAINED


def _hear(url: str, model: str, utterance: Utterance) -> str:
    file = to_file(samples_of(speak(utterance), RATE), RATE, "FLAC")
    response = httpx.post(
        f"{url}/v1/audio/transcriptions", data={"model": model}, files={"file": ("a.flac", file)}, timeout=SECONDS
    )
    return _plain(_answer(response)["text"])


def _plain(text: str) -> str:
    """Lower case without punctuation: neither is heard."""
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter in " '").strip()
