"""The task families with a tiny model for each."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.matrix.support.captioners import make_blip
from tests.matrix.support.seq2seq import make_t5
from tests.matrix.support.speech import make_ctc, make_whisper
from tests.matrix.support.text_encoders import make_text_encoder
from tests.matrix.support.vision import make_clip, make_segformer, make_vit, make_yolos
from tests.runtime.support.tiny_models import make_classifier, make_decoder, make_encoder
from tests.runtime.support.tiny_pipelines import make_stable_diffusion
from tests.runtime.support.tiny_visual import make_llava

FAMILIES: Mapping[str, Callable[[Path], Path]] = {
    "decoder": make_decoder,
    "encoder-decoder": make_t5,
    "classifier": make_classifier,
    "encoder": make_encoder,
    "tagger": partial(make_text_encoder, family="bert", head="ForTokenClassification", id2label={0: "O", 1: "B-PER"}),
    "filler": partial(make_text_encoder, family="roberta", head="ForMaskedLM"),
    "answerer": partial(make_text_encoder, family="bert", head="ForQuestionAnswering"),
    "reranker": partial(make_text_encoder, family="bert", head="ForSequenceClassification", num_labels=1),
    "judge": partial(
        make_text_encoder, family="bert", head="ForSequenceClassification", id2label={0: "entailment", 1: "other"}
    ),
    "visual-chat": make_llava,
    "captions": make_blip,
    "image-classes": make_vit,
    "image-zero-shot": make_clip,
    "detection": make_yolos,
    "segmentation": make_segformer,
    "speech-ctc": partial(make_ctc, family="wav2vec2"),
    "speech-whisper": make_whisper,
    "text-to-image": make_stable_diffusion,
}
