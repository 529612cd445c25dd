"""A server that speaks S3's protocol (moto's), with one bucket; it lives in an environment of its own.

Google's store answers the same requests in the same form (its XML API), so the client for `gs://` can be shown on it,
without credentials.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import obstore
from obstore.store import S3Store

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "models"


class Objects:
    """The server and its bucket."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.variables = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }
        nobody = {"client_email": "", "private_key": "", "private_key_id": ""}
        account = {"gcs_base_url": url, "disable_oauth": True, **nobody}
        self.google_variables = {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}
        self._store = S3Store(
            BUCKET,
            endpoint=url,
            access_key_id="test",
            secret_access_key="test",
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def put(self, path: str, content: bytes) -> None:
        """Write an object."""
        obstore.put(self._store, path, content)

    def publish(self, path: str) -> None:
        """Let anyone read an object."""
        headers = {"x-amz-acl": "public-read", "authorization": "AWS test:unchecked"}
        httpx.put(f"{self.url}/{BUCKET}/{path}?acl", headers=headers).raise_for_status()

    def put_folder(self, folder: Path, prefix: str) -> None:
        """Write every file of a folder below a prefix."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())


@contextmanager
def object_server(log: Path) -> Iterator[Objects]:
    """Run the server for a block; its output goes to `log`."""
    script = ROOT / "tests" / "tooling"
    made = subprocess.run(
        ["bash", str(script / "venv.sh"), "s3", str(script / "s3.lock")], check=True, stdout=subprocess.PIPE, text=True
    )
    port = free_port()
    command = [f"{made.stdout.strip()}/bin/moto_server", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": ""})
    try:
        objects = Objects(f"http://127.0.0.1:{port}")
        _wait(objects, process, log)
        yield objects
    finally:
        process.terminate()
        process.wait(10)


def _wait(objects: Objects, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.put(f"{objects.url}/{BUCKET}", timeout=5).raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"the object store did not start:\n{log.read_text()}")
