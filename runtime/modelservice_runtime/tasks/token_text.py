"""The text of single tokens, for log-probabilities.

A byte-level token may be a part of a character: its bytes are exact, its text has a replacement mark.
"""

from functools import cache
from typing import Any

PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))


def spell_token(tokenizer: Any, token: int) -> tuple[str, bytes]:
    """Return text and bytes of a token of a transformers tokenizer."""
    text = str(tokenizer.decode([token], skip_special_tokens=False))
    if "\ufffd" not in text:
        return text, text.encode()
    piece = str(tokenizer.convert_ids_to_tokens(token))
    if piece.startswith("<0x") and piece.endswith(">") and len(piece) == 6:
        return text, bytes([int(piece[3:5], 16)])
    table = _byte_of_character()
    if all(character in table for character in piece):
        return text, bytes(table[character] for character in piece)
    return text, text.encode()


@cache
def _byte_of_character() -> dict[str, int]:
    """Return the map from the characters that byte-level tokenizers write to the bytes that they stand for (GPT-2)."""
    table = {chr(byte): byte for byte in PRINTABLE}
    others = [byte for byte in range(256) if byte not in PRINTABLE]
    return table | {chr(256 + place): byte for place, byte in enumerate(others)}
