from collections.abc import Iterator
from pathlib import Path

import pytest

from modelservice_runtime.errors import BadSettings
from modelservice_runtime.server.errors import ApiError
from modelservice_runtime.server.keys import Keyring, needs_key
from tests.runtime.support.server import RunningServer, running, wait_until

ALICE, BOB, CAROL = "alice-key-0123456789", "bob-key-0123456789ab", "carol-key-0123456789"


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def status(keys: Keyring, key: str) -> int:
    try:
        keys.admit(f"Bearer {key}")
    except ApiError as error:
        return error.status
    return 200


def test_keys_are_read_from_a_file_and_from_a_mounted_secret(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# for the team\nalice:{ALICE}\n\nbob:{BOB}:60\n")
    assert [status(Keyring(file), key) for key in (ALICE, BOB, CAROL, "")] == [200, 200, 401, 401]
    secret = write(tmp_path / "secret", alice=f"{ALICE}\n", others=f"bob:{BOB}\ncarol:{CAROL}:5")
    (secret / "..data").write_text("hidden-0123456789abcdef")
    keys = Keyring(secret)
    assert [status(keys, key) for key in (ALICE, BOB, CAROL, "hidden-0123456789abcdef")] == [200, 200, 200, 401]


@pytest.mark.parametrize("authorization", ["", "Bearer", f"Basic {ALICE}", ALICE, f"Bearer {ALICE}x", "Bearer \xff"])
def test_request_is_refused_when_its_header_is_no_known_key(tmp_path: Path, authorization: str) -> None:
    keys = Keyring(write(tmp_path / "keys", alice=ALICE))
    with pytest.raises(ApiError) as caught:
        keys.admit(authorization)
    assert (caught.value.status, caught.value.headers["www-authenticate"]) == (401, "Bearer")
    assert ALICE not in str(caught.value)


def test_rate_is_limited_by_key_and_recovers(tmp_path: Path) -> None:
    clock = Clock()
    keys = Keyring(write(tmp_path / "keys", a=f"a:{ALICE}:3", b=f"b:{BOB}:3", c=CAROL), clock)
    assert [status(keys, ALICE) for _ in range(4)] == [200, 200, 200, 429]
    assert [status(keys, BOB), status(keys, CAROL)] == [200, 200]
    with pytest.raises(ApiError) as caught:
        keys.admit(f"Bearer {ALICE}")
    assert caught.value.headers["retry-after"] == "20"
    clock.now += 20
    assert [status(keys, ALICE) for _ in range(2)] == [200, 429]


def test_keys_are_exchanged_when_the_file_changes_and_stay_when_it_is_broken(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "keys"
    file.write_text(f"alice:{ALICE}")
    keys = Keyring(file, clock)
    file.write_text(f"bob:{BOB}\ncarol:{CAROL}")
    assert status(keys, ALICE) == 200
    clock.now += 2
    assert [status(keys, key) for key in (ALICE, BOB, CAROL)] == [401, 200, 200]
    for broken in ("", "nonsense", f"x:{ALICE}:many"):
        file.write_text(broken)
        clock.now += 2
        assert [status(keys, key) for key in (ALICE, BOB)] == [401, 200]
    file.unlink()
    clock.now += 2
    assert status(keys, BOB) == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no key"),
        ("# only a comment", "holds no key"),
        ("short", "16 to 512"),
        (f"a b:{ALICE}", "line 1 is not a key"),
        (f"a:{ALICE}\na:{BOB}", "line 2: there is a key with this name"),
        (f"a:{ALICE}:0", "requests per minute"),
        (f"a:{ALICE}:1:2", "is not a key"),
        (f"a:{ALICE} {BOB}", "16 to 512"),
    ],
)
def test_file_is_refused_naming_the_place_and_no_key(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(BadSettings) as caught:
        Keyring(write(tmp_path / "secret", keys=content))
    message = f"{caught.value} {caught.value.hint}"
    assert words in message
    assert "security.api_key_file" in message
    assert ALICE not in message


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be read"):
        Keyring(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/v2/health/ready", False),
        ("GET", "/v2/models/tiny/ready", False),
        ("HEAD", "/docs", False),
        ("POST", "/v2/models/tiny/ready", True),
        ("GET", "/v1/models", True),
        ("GET", "/docs2", True),
        ("GET", "/v2/models/tiny", True),
        ("POST", "/v1/completions", True),
    ],
)
def test_only_probes_and_pages_need_no_key(method: str, path: str, needed: bool) -> None:
    assert needs_key(method, path) is needed


@pytest.fixture(scope="module")
def server(decoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = write(tmp_path_factory.mktemp("secret"), alice=ALICE, bob=f"bob:{BOB}:1")
    with running(decoder_folder, security={"api_key_file": str(folder)}) as server:
        yield server


@pytest.mark.torch
def test_server_answers_those_with_a_key_only(server: RunningServer) -> None:
    def ask(key: str) -> int:
        return server.http.get("/v1/models", headers={"authorization": f"Bearer {key}"}).status_code

    refused = server.post("/v1/completions", prompt="a")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json()["error"]["code"] == "invalid_api_key"
    assert list(server.http.post("/v2/models/tiny/infer", json={}).json()) == ["error"]
    assert [ask(ALICE), ask(CAROL)] == [200, 401]
    assert [ask(BOB), ask(BOB)] == [200, 429]
    assert server.http.get("/v2/health/ready").status_code == 200
    assert [server.admin.get(path).status_code for path in ("/readyz", "/metrics", "/status")] == [200] * 3
    rejected = server.admin.get("/metrics").text
    assert 'inference_requests_rejected_total{model="tiny",reason="auth"}' in rejected
    assert 'reason="rate_limit"' in rejected


@pytest.mark.torch
def test_key_is_taken_without_a_restart_when_the_secret_changes(server: RunningServer) -> None:
    (Path(server.settings.security.api_key_file) / "carol").write_text(CAROL)
    headers = {"authorization": f"Bearer {CAROL}"}
    wait_until(lambda: server.http.get("/v1/models", headers=headers).status_code == 200, "the new key is taken")
