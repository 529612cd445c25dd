"""`python -m tests.bench.runtime [--quick] [--only AREA ...]`: writes build/bench/runtime.{json,md,svg}."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.runtime import machine, report
from tests.bench.runtime.areas import AREAS
from tests.bench.runtime.bench import Bench
from tests.bench.runtime.figures import Line, missing_line
from tests.bench.runtime.targets import TARGETS
from tests.support.operators import ROOT

OUTPUT = ROOT / "build" / "bench"


async def measure(bench: Bench, chosen: Sequence[str]) -> list[Line]:
    """Measure the areas one after the other; one that fails says why, and the others go on."""
    lines: list[Line] = []
    for area in chosen:
        bench.say(area)
        began = time.monotonic()
        try:
            found = await AREAS[area](bench)
            reason = "the area gave no figure for it"
        except Exception as error:
            found, reason = [], f"{type(error).__name__}: {error}"
            bench.say(f"  {area} failed: {reason}")
        bench.say(f"  {area} took {time.monotonic() - began:.0f} s")
        lines += [*found, *_missing(area, found, reason)]
    unmeasured = [target for target in TARGETS.values() if target.area not in AREAS]
    return lines + [missing_line(target, "no area measures it yet") for target in unmeasured]


def _missing(area: str, found: Sequence[Line], reason: str) -> list[Line]:
    wanted = [target for target in TARGETS.values() if target.area == area]
    return [missing_line(t, reason) for t in wanted if not any(line.name.startswith(t.title) for line in found)]


def main() -> int:
    """Run the benchmark; 0 when it could measure, whatever came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.runtime", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer models and shorter turns: about 10 minutes")
    parser.add_argument("--only", nargs="+", choices=AREAS, default=list(AREAS), help="measure these areas only")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    described = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), quick=arguments.quick)
        bench.say(described)
        lines = asyncio.run(measure(bench, arguments.only))
    paths = report.write(OUTPUT, lines, described)
    print(report.as_table(lines, described))
    print("written to " + ", ".join(str(path.relative_to(ROOT)) for path in paths))
    return 0 if any(line.met is not None for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
