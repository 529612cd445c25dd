"""Asking a model through its Service, the way a person outside the cluster does: port-forward, then HTTP."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.cluster import Cluster


@contextmanager
def forwarded(cluster: Cluster, namespace: str, service: str) -> Iterator[str]:
    """The base URL under which the Service answers on this machine while the block runs.

    Raises:
        RuntimeError: kubectl could not forward (its own words are in the message).
    """
    command = [str(cluster.bin / "kubectl"), "--kubeconfig", str(cluster.kubeconfig), "-n", namespace]
    process = subprocess.Popen(
        [*command, "port-forward", f"service/{service}", ":80"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if found is None:
            process.terminate()
            raise RuntimeError(f"kubectl port-forward service/{service}: {line}{process.communicate()[1]}".strip())
        yield f"http://127.0.0.1:{found.group(1)}"
    finally:
        process.terminate()
        process.communicate()


def chat(url: str, model: str, question: str) -> str:
    """The model's answer to one question at temperature 0, through `/v1/chat/completions`."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 48, "temperature": 0}
    response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    response.raise_for_status()
    answer: str = response.json()["choices"][0]["message"]["content"]
    return answer.strip()
