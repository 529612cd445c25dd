import base64

import pytest

from modelservice_runtime.media.source import SourceReader
from modelservice_runtime.tasks.inputs import InvalidInput

DATA = b"\x89PNG rest"
ENCODED = base64.b64encode(DATA).decode()
READER = SourceReader(64)


@pytest.mark.parametrize(
    "source",
    [ENCODED, f"data:image/png;base64,{ENCODED}", f"DATA:;base64,{ENCODED}", f"data:a/b;name=x;base64,{ENCODED}"],
)
def test_bytes_come_back_when_the_source_holds_them(source: str) -> None:
    assert READER.read(source, "input") == DATA


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("http://169.254.169.254/latest/meta-data", "fetches no URLs"),
        ("HTTPS://example.com/a.png", "fetches no URLs"),
        ("file:///etc/passwd", "never opened"),
        ("gopher://example.com", "never opened"),
        ("/etc/passwd", "never opened"),
        ("../secret.png", "never opened"),
        ("", "empty"),
        ("data:image/png,abc", ";base64,"),
        ("data:image/png" + ";a" * 500 + ";base64,QUJD", ";base64,"),
        ("data:image/png;base64,???", "neither"),
        ("QUJD\nQUJD", "neither"),
        ("é", "neither"),
        (base64.b64encode(bytes(100)).decode(), "larger than 64 bytes"),
    ],
)
def test_source_is_refused_by_field_when_it_holds_no_file(source: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        READER.read(source, "instances.0.image")
    assert caught.value.field == "instances.0.image"
    assert "meta-data" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_url_goes_to_the_fetcher_when_there_is_one() -> None:
    reader = SourceReader(64, lambda url, field, most: f"{url} {field} {most}".encode())
    assert reader.read("https://a/b", "input") == b"https://a/b input 64"
    with pytest.raises(InvalidInput, match="never opened"):
        reader.read("file:///etc/passwd", "input")
