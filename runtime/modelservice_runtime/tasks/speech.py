"""Automatic speech recognition: which of the two kinds of models a folder holds decides how it listens.

A model with a CTC head reads a recording in one pass and labels its frames; a Whisper writes tokens, window by window.
"""

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.tasks import speech_ctc, speech_whisper
from modelservice_runtime.tasks.base import LoadedTask, TaskContext


def load(context: TaskContext) -> LoadedTask:
    """Load the model. Raises RuntimeFault."""
    name = context.folder.card.architecture or ""
    if name.endswith("ForCTC"):
        return speech_ctc.load(context)
    if context.folder.config.get("model_type") == "whisper":
        return speech_whisper.load(context)
    raise UnusableModel(
        f"{name or 'the model'} is neither a Whisper nor a model with a CTC head, and no other kind listens here",
        hint="use a Whisper, wav2vec2, HuBERT, WavLM or another model whose class ends in ForCTC",
    )
