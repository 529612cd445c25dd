"""Generated requests, operation by operation."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode

from tests.runtime.support.server import RunningServer

PATIENCE_SECONDS = 30
"""How long past the server's own limit for a request its answer is waited for: later is a hang, earlier is not."""
FOREIGN_EVERY = 10
SEED = 7
Operation = Any


@dataclass
class Findings:
    """How often each status was answered, and the requests that were not answered as they must be."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def fuzz(server: RunningServer, cases: int) -> Findings:
    """Send about `cases` requests, spread over all operations and both modes."""
    schema = schemathesis.openapi.from_url(f"{server.http.base_url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    plan = list(_plan(operations, cases))
    findings = Findings()
    for operation, mode, examples in plan:
        _fuzz_operation(server, operation, mode, examples, findings)
    return findings


def _plan(operations: list[Operation], cases: int) -> Iterator[tuple[Operation, GenerationMode, int]]:
    """Yield how many examples each operation gets; those without a body need few."""
    with_body = [operation for operation in operations if operation.method.upper() == "POST"]
    share = max(2, cases // (2 * max(1, len(with_body))))
    for operation in operations:
        examples = share if operation in with_body else 2
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            yield operation, mode, examples


def _fuzz_operation(
    server: RunningServer, operation: Operation, mode: GenerationMode, examples: int, findings: Findings
) -> None:
    counter = 0

    @seed(SEED)
    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        nonlocal counter
        counter += 1
        if counter % FOREIGN_EVERY:
            _aim(case, server.settings.served_name)
        _send(server, case, findings)

    try:
        run()
    except Unsatisfiable:
        if mode is GenerationMode.POSITIVE:  # of an operation without parameters nothing can be broken
            raise


def _aim(case: Case, model: str) -> None:
    """Let a request name the served model."""
    if isinstance(case.body, dict) and "model" in case.body:
        case.body["model"] = model
    if isinstance(case.path_parameters, dict) and "name" in case.path_parameters:
        case.path_parameters["name"] = model


def _send(server: RunningServer, case: Case, findings: Findings) -> None:
    label = f"{case.method} {case.path}"
    timeout = server.settings.limits.request_seconds + PATIENCE_SECONDS
    try:
        answer = case.call(base_url=str(server.http.base_url).rstrip("/"), timeout=timeout)
    except Exception as error:
        findings.failures.append(f"{label}: no answer ({type(error).__name__}: {error}) {_request(case)}")
        return
    findings.statuses[answer.status_code] += 1
    if answer.status_code >= 500:
        findings.failures.append(f"{label}: {answer.status_code} {answer.text[:200]} {_request(case)}")


def _request(case: Case) -> str:
    """Return the beginning of the command that sends the request again."""
    return str(case.as_curl_command())[:600]
