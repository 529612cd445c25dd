"""Secrets are taken out of a support bundle wherever they are, and what a reader needs is left in."""

import base64
import io
import tarfile
from typing import Any

import pytest
import yaml

from modelservice_operator.cli.bundle import Bundle, pack
from modelservice_operator.cli.redaction import MARK, redact_object, redact_text

CANARY = "canary-7f3a9c2e"


@pytest.mark.parametrize(
    "body",
    [
        {"env": [{"name": "GREETING", "value": CANARY}]},
        {"httpHeaders": [{"name": "X-Custom", "value": CANARY}]},
        {"token": CANARY},
        {"apiKey": CANARY},
        {"aws_secret_access_key": CANARY},
        {"passwords": [CANARY, "other"]},
        {"args": ["--api-key", CANARY]},
        {"args": [f"--hub-token={CANARY}"]},
        {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": CANARY}}},
        {"metadata": {"managedFields": [{"manager": CANARY}]}},
        {"url": f"https://user:{CANARY}@hub.example/models"},
        {"url": f"https://store.example/m?X-Amz-Signature={CANARY}&x=1"},
        {"message": f"Authorization: Bearer {CANARY}"},
        {"message": f"password={CANARY}; retry"},
        {"message": f"password: {CANARY}"},
        {"message": f"the token: {CANARY} is wrong"},
        {"message": f'{{"access_token": "{CANARY}"}}'},
    ],
)
def test_secret_is_taken_out_of_an_object(body: dict[str, Any]) -> None:
    assert CANARY not in str(redact_object(body))


@pytest.mark.parametrize(
    "text",
    [
        "hf_abcdefghijklmnopqrstuvwxyz012345",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_token_is_taken_out_of_a_text(text: str) -> None:
    told = redact_text(f"before {text} after", ())
    assert told == f"before {MARK} after"


@pytest.mark.parametrize(
    "body",
    [
        {"secretRef": {"name": "hub-token"}},
        {"apiKeySecretRef": {"name": "chat-keys"}},
        {"tlsSecretName": "chat-tls"},
        {"imagePullSecrets": [{"name": "registry-login"}]},
        {"env": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub-token", "key": "token"}}}]},
        {"env": [{"name": "HF_ENDPOINT", "value": "https://mirror.example"}]},
        {"automountServiceAccountToken": True},
        {"max_tokens": 256},
        {"message": "The Secret hub-token has no key token: create it"},
        {"message": "128 tokens of the prompt; total_tokens: 1024"},
    ],
)
def test_names_of_secrets_and_numbers_are_kept(body: dict[str, Any]) -> None:
    assert redact_object(body) == body


def test_value_that_stands_in_one_object_is_taken_out_of_all_texts() -> None:
    value = f'{CANARY} with "quotes", a \\ and ünïcode ' + "long " * 40 + "end"
    bundle = Bundle()
    bundle.add_object("service.yaml", {"spec": {"env": [{"name": "GREETING", "value": value}]}})
    bundle.add_object("pod.yaml", {"status": {"message": f"Traceback: {value}"}})
    bundle.add_object("why.json", {"pods": ({"message": value},)})
    bundle.add_text("server.log", f"started with {value}\n{base64.b64encode(value.encode()).decode()}")
    files = bundle.files()
    assert all(CANARY not in text for text in files.values())
    assert all("ünïcode" not in text for text in files.values())
    assert yaml.safe_load(files["pod.yaml"])["status"]["message"] == f"Traceback: {MARK}"
    assert base64.b64encode(CANARY.encode()).decode()[:12] not in files["server.log"]


def test_ordinary_words_stay_when_a_variable_is_short() -> None:
    bundle = Bundle()
    bundle.add_object("service.yaml", {"env": [{"name": "DEBUG", "value": "true"}]})
    bundle.add_text("server.log", "it is true")
    assert bundle.files()["server.log"] == "it is true"
    assert yaml.safe_load(bundle.files()["service.yaml"])["env"][0]["value"] == MARK


def test_archive_has_the_files_in_one_folder() -> None:
    packed = pack({"a/b.yaml": "x: ü\n"}, "doctor")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        (entry,) = archive.getmembers()
        read = archive.extractfile(entry)
        assert read is not None
        assert (entry.name, read.read().decode()) == ("doctor/a/b.yaml", "x: ü\n")
