"""What is answered, beside what `generate` answers: greedy text token by token, in float32 and in bfloat16."""

from typing import Any

from tests.bench.runtime.bench import Bench
from tests.bench.runtime.figures import Line, value_line
from tests.bench.runtime.models import model_folder
from tests.bench.runtime.targets import TARGETS

PROMPTS, FEW = 500, 60


async def measure(bench: Bench) -> list[Line]:
    """Compare the real model, in each dtype that this CPU computes."""
    folder, count, lines = model_folder("demo-chat"), FEW if bench.quick else PROMPTS, []
    for dtype in dict.fromkeys(("float32", bench.fast_dtype)):
        found = await bench.ask("tests.bench.runtime.agreement", str(folder), dtype, str(count))
        target = TARGETS["agreement" if dtype == "float32" else "agreement-half"]
        of = f"demo-chat {dtype}, {count} prompts"
        lines.append(value_line(target, of, [share(found, dtype)], explain(found)))
        bench.say(f"  {of}: {lines[-1].note}")
    return lines


def share(found: dict[str, Any], dtype: str) -> float:
    """Return the share of answers that are the same; beyond float32 also of those that rounding explains."""
    explained = 0 if dtype == "float32" else sum(map(is_rounding, found["differences"]))
    return float((found["same"] + explained) / found["of"])


def is_rounding(difference: dict[str, float]) -> bool:
    """Tell whether the plain model preferred its own token by less than its dtype can tell."""
    return difference["gap"] <= 2 * difference["error"]


def explain(found: dict[str, Any]) -> str:
    """Say how many answers differ, and by how much the plain model preferred its own token where they part."""
    differences = found["differences"]
    if not differences:
        return f"{found['same']} of {found['of']} the same"
    gaps = sorted(difference["gap"] for difference in differences)
    ties, middle = sum(map(is_rounding, differences)), gaps[len(gaps) // 2]
    return (
        f"{found['same']} of {found['of']} the same; of {len(differences)} others {ties} part where half of the gap "
        f"between two logits is less than the dtype's own error (gaps: median {middle:.2g}, largest {gaps[-1]:.2g})"
    )
