"""The files of demo-scene beside its weights: a LLaVA model's configuration, its processor and a tokenizer of words.

Free of torch and transformers, because demo models are built without them.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from tests.models.caption.dialogue import vocabulary

PAD, UNKNOWN, END, IMAGE, USER, ASSISTANT = "<pad>", "<unk>", "<end>", "<image>", "<user>", "<assistant>"
SPECIAL = (PAD, UNKNOWN, END, IMAGE, USER, ASSISTANT)
IMAGE_SIZE, PATCH_SIZE = 48, 8
PATCHES = (IMAGE_SIZE // PATCH_SIZE) ** 2
CONTEXT = 512
MEAN, DEVIATION = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}<user>{% elif message['role'] == 'assistant' %}<assistant>{% else %}"
    "{{ raise_exception('only the roles user and assistant are known') }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}<end>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def write_layout(target: Path) -> None:
    """Write every file but the weights into `target`, in the hub's layout."""
    tokenizer = make_tokenizer()
    tokenizer.save(str(target / "tokenizer.json"))
    (target / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    for name, content in _json_files(tokenizer).items():
        (target / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def make_tokenizer() -> Tokenizer:
    """Return a tokenizer of whole words; what is not a letter is passed over, unknown words are `<unk>`."""
    words = ["▁" + word for word in vocabulary()]
    tokenizer = Tokenizer(
        models.WordLevel({token: index for index, token in enumerate((*SPECIAL, *words))}, unk_token=UNKNOWN)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace(Regex("[^a-z]+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return tokenizer


def model_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the configuration of the model: a small CLIP tower in front of a small Llama."""
    shared = {"hidden_size": 96, "num_attention_heads": 4}
    vocabulary_size = tokenizer.get_vocab_size()
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "image_token_id": tokenizer.token_to_id(IMAGE),
        "image_token_index": tokenizer.token_to_id(IMAGE),
        "image_seq_length": PATCHES,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "vision_config": {
            "model_type": "clip_vision_model",
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
            "num_hidden_layers": 4,
            "intermediate_size": 256,
            "projection_dim": 96,
            **shared,
        },
        "text_config": {
            "model_type": "llama",
            "vocab_size": vocabulary_size,
            "num_hidden_layers": 2,
            "intermediate_size": 256,
            "max_position_embeddings": CONTEXT,
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": tokenizer.token_to_id(END),
            "pad_token_id": tokenizer.token_to_id(PAD),
            **shared,
        },
    }


def _json_files(tokenizer: Tokenizer) -> dict[str, dict[str, Any]]:
    special = {"pad_token": PAD, "unk_token": UNKNOWN, "eos_token": END}
    end, pad = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    return {
        "config.json": model_config(tokenizer),
        "generation_config.json": {"eos_token_id": end, "pad_token_id": pad},
        "tokenizer_config.json": {
            **special,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": CONTEXT,
            "clean_up_tokenization_spaces": False,
            "extra_special_tokens": {"image_token": IMAGE},
        },
        "processor_config.json": {
            "processor_class": "LlavaProcessor",
            "patch_size": PATCH_SIZE,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
            "image_token": IMAGE,
        },
        "preprocessor_config.json": {
            "image_processor_type": "CLIPImageProcessor",
            "processor_class": "LlavaProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": size,
            "resample": 4,
            "do_center_crop": False,
            "crop_size": size,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": MEAN,
            "image_std": DEVIATION,
        },
    }
