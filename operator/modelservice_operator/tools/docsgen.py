"""Documents that are made from their source: the schema of the chart's values, and tables in the README files.

The guides in operator/docs are made whole. Each table stands between two markers in a README that is otherwise
written by hand: values (from the comments in values.yaml), settings, metrics, conditions and reasons (from the code
that defines them).

`python -m modelservice_operator.tools.docsgen` writes the files, `--check` exits 1 and prints a diff when one is out
of date.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import yaml
from prometheus_client import CollectorRegistry
from pydantic_settings import BaseSettings

from modelservice_operator.activator import metrics as activator_metrics
from modelservice_operator.activator.metrics import ActivatorMetrics
from modelservice_operator.activator.settings import ActivatorSettings
from modelservice_operator.api.names import GROUP
from modelservice_operator.api.reasons import DETAILS, READY_ORDER
from modelservice_operator.metrics_adapter.settings import AdapterSettings
from modelservice_operator.observability.metrics import PREFIX, Metrics
from modelservice_operator.settings import Settings
from modelservice_operator.tools.chart_values import Entry, profile_schema, read_entries, render_schema
from modelservice_operator.tools.drift import publish, repository_root
from modelservice_operator.tools.migration import render_migration
from modelservice_operator.tools.troubleshooting import render_troubleshooting

SOURCE: Final = "modelservice_operator.tools.docsgen"
CHART: Final = Path("charts/modelservice")
README: Final = Path("operator/README.md")
GUIDES: Final = Path("operator/docs")
SERVICE_CRD: Final = Path("crds") / f"{GROUP}_modelservices.yaml"
PROFILE_CRD: Final = Path("crds") / f"{GROUP}_runtimeprofiles.yaml"


class MarkerError(ValueError):
    """A README lacks the markers around a generated table."""


def cell(text: str) -> str:
    """The text as one cell of a Markdown table."""
    return text.replace("|", "\\|")


def code(text: str) -> str:
    """The text as code in one cell, empty when there is none."""
    return f"`{cell(text)}`" if text else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def render_values(entries: Sequence[Entry]) -> str:
    """The chart's values; groups have no row of their own."""
    rows = []
    for entry in entries:
        if not entry.is_group:
            default = json.dumps(entry.default)
            shown = code(default) if len(default) <= 60 else "see values.yaml"
            rows.append((code(".".join(entry.path)), shown, cell(entry.description)))
    return table(("value", "default", "meaning"), rows)


def render_settings(kind: type[BaseSettings] = Settings) -> str:
    """The settings of the operator, or of another process of its package."""
    prefix = str(kind.model_config["env_prefix"])
    rows = []
    for name, each in kind.model_fields.items():
        default = "" if each.default_factory or each.default in (None, ()) else str(each.default)
        flag, variable = "--" + name.replace("_", "-"), prefix + name.upper()
        rows.append((code(flag), code(variable), code(default), cell(each.description or "")))
    return table(("flag", "variable", "default", "meaning"), rows)


def render_metrics(registry: CollectorRegistry, prefix: str) -> str:
    """A process's own metrics, which begin with `prefix`, as Prometheus names them."""
    rows = []
    for family in registry.collect():
        if family.name.startswith(prefix):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            rows.append((code(name), family.type, cell(family.documentation)))
    return table(("metric", "type", "meaning"), rows)


def render_conditions() -> str:
    """The conditions in the order in which `Ready` asks them."""
    return table(("order", "condition"), [(str(at), code(each)) for at, each in enumerate(READY_ORDER, 1)])


def render_reasons() -> str:
    """The reasons in the order of the code."""
    rows = [(code(reason), cell(each.description), cell(each.hint)) for reason, each in DETAILS.items()]
    return table(("reason", "meaning", "what to do"), rows)


def replace_table(readme: str, name: str, content: str) -> str:
    """The README with `content` between the markers `name: begin` and `name: end`.

    Raises:
        MarkerError: a marker is missing.
    """
    opening, closing = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begin, rest = readme.partition(opening)
    _, end, after = rest.partition(closing)
    if not (begin and end):
        raise MarkerError(f"the README needs the markers {opening} and {closing} around the generated table")
    return f"{before}{begin}\n{content}{end}{after}"


def render_documents(root: Path) -> dict[Path, str]:
    """Path and content of each generated document."""
    entries = read_entries((root / CHART / "values.yaml").read_text(encoding="utf-8"))
    profile = profile_schema(yaml.safe_load((root / PROFILE_CRD).read_text(encoding="utf-8")))
    service = yaml.safe_load((root / SERVICE_CRD).read_text(encoding="utf-8"))
    chart = (root / CHART / "README.md").read_text(encoding="utf-8")
    operator = (root / README).read_text(encoding="utf-8")
    tables = {
        "settings": render_settings(),
        "metrics-adapter": render_settings(AdapterSettings),
        "activator": render_settings(ActivatorSettings),
        "activator-metrics": render_metrics(ActivatorMetrics().registry, activator_metrics.PREFIX),
        "metrics": render_metrics(Metrics().registry, PREFIX),
        "conditions": render_conditions(),
        "reasons": render_reasons(),
    }
    for name, content in tables.items():
        operator = replace_table(operator, name, content)
    return {
        root / CHART / "values.schema.json": render_schema(entries, profile),
        root / CHART / "README.md": replace_table(chart, "values", render_values(entries)),
        root / README: operator,
        root / GUIDES / "troubleshooting.md": render_troubleshooting(),
        root / GUIDES / "migration.md": render_migration(service),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the documents, or check them; the exit status says whether they were up to date."""
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    return publish(render_documents(repository_root()), check=check, command=f"python -m {SOURCE}")


if __name__ == "__main__":
    sys.exit(main())
