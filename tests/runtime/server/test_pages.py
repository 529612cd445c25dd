import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelservice_runtime.pages import FOLDER, read_assets
from tests.runtime.support.server import RunningServer, running

pytestmark = pytest.mark.torch

OUTSIDE = re.compile(rb"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""")


@pytest.fixture(scope="module")
def classifier(classifier_folder: Path) -> Iterator[RunningServer]:
    with running(classifier_folder) as server:
        yield server


def test_pages_load_nothing_from_elsewhere() -> None:
    for path in (FOLDER / "static").iterdir():
        assert not OUTSIDE.search(path.read_bytes()), path.name


def test_pages_have_no_inline_scripts_and_no_inline_styles() -> None:
    for page in ("playground.html", "docs.html"):
        text = (FOLDER / "static" / page).read_text()
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", text), page


def test_vendored_files_stay_small_and_have_their_licence() -> None:
    vendor = FOLDER / "vendor"
    assert sum(path.stat().st_size for path in vendor.iterdir()) < 1_000_000
    assert "Apache License" in (vendor / "LICENSE").read_text()
    assert re.search(r"sha256 [0-9a-f]{64}", (vendor / "VERSION").read_text())


@pytest.mark.parametrize("path", ["/playground", "/docs"])
def test_page_is_served_with_a_closed_policy(classifier: RunningServer, path: str) -> None:
    answer = classifier.http.get(path)
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in policy
    for name in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
        assert classifier.http.get(name).status_code == 200, name


def test_file_is_the_same_packed_and_plain(classifier: RunningServer) -> None:
    packed = classifier.http.get("/static/swagger-ui-bundle.js")
    plain = classifier.http.get("/static/swagger-ui-bundle.js", headers={"accept-encoding": "identity"})
    assert (packed.headers["content-encoding"], plain.headers.get("content-encoding")) == ("gzip", None)
    assert hashlib.sha256(packed.content).digest() == hashlib.sha256(plain.content).digest()
    again = classifier.http.get("/static/swagger-ui-bundle.js", headers={"if-none-match": packed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["secrets.txt", "..%2F__init__.py", "%2e%2e/static/playground.html"])
def test_other_files_are_not_served(classifier: RunningServer, name: str) -> None:
    assert classifier.http.get(f"/static/{name}").status_code == 404


def test_modules_import_only_files_that_exist() -> None:
    assets = read_assets()
    for name, asset in assets.items():
        for imported in re.findall(rb'from "\./([^"]+)"', asset.plain()) if name.endswith(".js") else ():
            assert imported.decode() in assets, (name, imported)


def test_pages_are_gone_when_they_are_switched_off(classifier_folder: Path) -> None:
    with running(classifier_folder, server={"playground": False}) as server:
        assert [server.http.get(path).status_code for path in ("/", "/playground", "/docs", "/static/dom.js")] == [
            404
        ] * 4


def test_root_leads_to_the_playground(classifier: RunningServer) -> None:
    answer = classifier.http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/playground")


def test_description_holds_only_endpoints_of_the_loaded_task(classifier: RunningServer) -> None:
    document = classifier.http.get("/openapi.json").json()
    assert {"/v1/models", "/v1/classify", "/v1/explain", "/v1/models/{name}:predict"} <= set(document["paths"])
    assert not {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/playground"} & set(document["paths"])


def test_examples_of_the_description_are_answered(classifier: RunningServer) -> None:
    document = classifier.http.get("/openapi.json").json()
    tried = []
    for path, item in document["paths"].items():
        content = item.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in content.get("examples", {}).values():
            answer = classifier.http.post(path.replace("{name}", "tiny"), json=example["value"])
            assert answer.status_code == 200, (path, answer.text)
            tried.append(path)
    assert {"/v1/classify", "/v1/explain", "/v1/models/{name}:predict", "/v1/models/{name}:explain"} <= set(tried)
