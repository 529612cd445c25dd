"""The task families with a tiny model for each, and the routes that its cases go to."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.matrix.support.text_encoders import make_text_encoder
from tests.runtime.support.tiny_models import make_classifier, make_decoder, make_encoder
from tests.runtime.support.tiny_visual import make_llava

FAMILIES: Mapping[str, Callable[[Path], Path]] = {
    "decoder": make_decoder,
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
}
