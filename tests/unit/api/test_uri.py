import pytest

from modelservice_operator.api.uri import ModelUri, is_model_uri

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://org/name", ModelUri("hf", "org/name")),
        ("hf://org/name@refs/pr/1", ModelUri("hf", "org/name", revision="refs/pr/1")),
        ("https://host:8443/a/b.tar?x=1", ModelUri("https", "host:8443", "a/b.tar?x=1")),
        ("pvc://claim", ModelUri("pvc", "claim")),
        ("pvc://claim/a/b/", ModelUri("pvc", "claim", "a/b")),
        ("oci://localhost:5000/a/b:dev", ModelUri("oci", "localhost:5000/a/b:dev")),
        (f"oci://registry.example.com/a/b@{DIGEST}", ModelUri("oci", f"registry.example.com/a/b@{DIGEST}")),
        ("s3://bucket/a", ModelUri("s3", "bucket", "a")),
    ],
)
def test_parts_are_found_when_the_uri_has_a_documented_form(text, expected):
    assert ModelUri.parse(text) == expected


@pytest.mark.parametrize("text", ["", "gpt2", "hf://name", "pvc://c/../d", "https://u:p@h/x", "oci://x", "ftp://h/x"])
def test_forms_are_named_when_the_uri_has_none_of_them(text):
    assert not is_model_uri(text)
    with pytest.raises(ValueError, match="write hf://org/name"):
        ModelUri.parse(text)


def test_only_fetched_models_are_remote_when_asked():
    remote = {uri for uri in ("hf://a/b", "https://h/x", "pvc://c", "oci://h/x") if ModelUri.parse(uri).is_remote}

    assert remote == {"hf://a/b", "https://h/x"}
