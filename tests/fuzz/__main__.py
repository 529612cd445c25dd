"""`python -m tests.fuzz`: fuzz each task family; the exit code is 1 when a request was not answered as it must be."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.cases import fuzz
from tests.fuzz.families import FAMILIES
from tests.runtime.support.server import running


def main() -> int:
    """Fuzz the families that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("families", nargs="*", choices=[*FAMILIES, []], metavar="FAMILY", help=", ".join(FAMILIES))
    parser.add_argument("--cases", type=int, default=2000, help="requests for each family (default: 2000)")
    options = parser.parse_args()
    return max(_fuzz_family(name, options.cases) for name in options.families or FAMILIES)


def _fuzz_family(name: str, cases: int) -> int:
    with tempfile.TemporaryDirectory() as folder, running(FAMILIES[name](Path(folder))) as server:
        findings = fuzz(server, cases)
        alive = server.admin.get("/readyz").status_code == 200
    counts = ", ".join(f"{count} x {status}" for status, count in sorted(findings.statuses.items()))
    print(f"{name}: {sum(findings.statuses.values())} answers: {counts}")
    for failure in findings.failures:
        print(f"  {failure}")
    if not alive:
        print(f"  {name}: the server is not ready any more")
    return int(bool(findings.failures) or not alive)


if __name__ == "__main__":
    sys.exit(main())
