"""demo-chat is a real language model: converted without loss of meaning, it answers as SmolLM2 does."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.models import build_model

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def answer():
    folder = build_model("demo-chat")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def ask(question: str) -> str:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            output = model.generate(**prompt, max_new_tokens=24, do_sample=False)
        return tokenizer.decode(output[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)

    return ask


def test_answer_names_paris_when_asked_for_the_capital_of_france(answer) -> None:
    assert "Paris" in answer("What is the capital of France?")


def test_answer_names_the_primary_colours_when_asked_for_them(answer) -> None:
    text = answer("What are the three primary colors?")
    assert all(colour in text for colour in ("Red", "Blue", "Yellow"))


def test_tokenizer_splits_numbers_into_digits_and_keeps_control_tokens_whole() -> None:
    tokenizer = AutoTokenizer.from_pretrained(build_model("demo-chat"))
    assert tokenizer.tokenize("in 1984") == ["in", "Ġ", "1", "9", "8", "4"]
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == tokenizer.eos_token_id == 2
    assert tokenizer.decode(tokenizer.encode("naïve 日本 🙂\n\tx")) == "naïve 日本 🙂\n\tx"
