"""What the tasks that listen share: from a request to samples at the model's rate, and extractors of features."""

from collections.abc import Sequence
from typing import Any

from transformers import AutoFeatureExtractor

from modelservice_runtime.config import Settings
from modelservice_runtime.engine.scheduling import Meter
from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.media.audio import Samples, decode_audio
from modelservice_runtime.media.source import make_reader
from modelservice_runtime.models.folder import ModelFolder
from modelservice_runtime.tasks.inputs import Audios, InvalidInput


class Listener:
    """Decodes the recordings of a request; CPU pool."""

    def __init__(self, settings: Settings, rate: int, meter: Meter) -> None:
        self.rate = rate
        self._reader = make_reader(settings)
        self._limits = settings.limits
        self._meter = meter

    def listen(self, request: Audios) -> Sequence[Samples]:
        """Return the samples of each recording. Raises InvalidInput naming its field."""
        if len(request.audios) > self._limits.max_inputs:
            raise InvalidInput("instances", f"at most {self._limits.max_inputs} recordings are taken in one request")
        found = []
        for audio, field in zip(request.audios, request.fields, strict=True):
            data = self._reader.read(audio, field) if isinstance(audio, str) else audio
            found.append(decode_audio(data, field, self.rate, self._limits.max_audio_seconds))
        self._meter.worked("audio_seconds", sum(len(samples) for samples in found) / self.rate)
        return found


def load_extractor(folder: ModelFolder) -> Any:
    """Load the feature extractor. Raises UnusableModel when preprocessor_config.json is missing or not for sound."""
    try:
        extractor = AutoFeatureExtractor.from_pretrained(folder.path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        text = " ".join(str(error).split())[:300]
        raise UnusableModel(
            f"{folder.path} has no usable feature extractor: {text}",
            hint="add preprocessor_config.json of the model; transformers' save_pretrained writes it",
        ) from error
    if not isinstance(getattr(extractor, "sampling_rate", None), int):
        raise UnusableModel(
            f"preprocessor_config.json of {folder.path} states no sampling_rate; is the model for sound?"
        )
    return extractor
