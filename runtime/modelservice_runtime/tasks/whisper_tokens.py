"""What a Whisper's special tokens mean, read from its tokenizer and its generation_config.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from modelservice_runtime.errors import UnusableModel
from modelservice_runtime.tasks.inputs import InvalidInput

ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class WhisperTokens:
    """Ids of the special tokens; `languages` maps codes to ids and is empty when the model knows English only."""

    start: int
    end: int
    no_times: int
    previous: int
    transcribe: int
    translate: int
    languages: Mapping[str, int]

    @property
    def first_time(self) -> int:
        """The token of 0.00 seconds."""
        return self.no_times + 1

    def language_of(self, wanted: str | None) -> str | None:
        """Return the code of a language that a client named; None lets the model find out. Raises InvalidInput."""
        if wanted is None:
            return None if self.languages else ENGLISH
        code = str(TO_LANGUAGE_CODE.get(wanted.lower(), wanted.lower()))
        if code not in (self.languages or (ENGLISH,)):
            known = "it knows English only" if not self.languages else "send a code of two letters such as en"
            raise InvalidInput("language", f"this model does not know that language; {known}")
        return code


def language_name(code: str) -> str:
    """Return the English name of a language, as `verbose_json` tells it."""
    return str(LANGUAGES.get(code, code))


def read_tokens(model: Any, tokenizer: Any) -> WhisperTokens:
    """Return the special tokens of a model. Raises UnusableModel when one is missing."""
    config = model.generation_config

    def find(name: str) -> int:
        found = tokenizer.convert_tokens_to_ids(name)
        if found is None or (found == tokenizer.unk_token_id and name != tokenizer.unk_token):
            raise UnusableModel(f"the tokenizer lacks Whisper's token {name}")
        return int(found)

    multilingual = getattr(config, "is_multilingual", None)
    languages = getattr(config, "lang_to_id", None) or {}
    if multilingual is False:
        languages = {}
    no_times = getattr(config, "no_timestamps_token_id", None)
    return WhisperTokens(
        start=int(config.decoder_start_token_id or model.config.decoder_start_token_id),
        end=find("<|endoftext|>"),
        no_times=int(no_times if no_times is not None else find("<|notimestamps|>")),
        previous=find("<|startofprev|>"),
        transcribe=find("<|transcribe|>"),
        translate=find("<|translate|>"),
        languages={name.strip("<|>"): int(token) for name, token in languages.items()},
    )
