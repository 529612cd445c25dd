"""The report: JSON for machines, a table in Markdown, and a plot in SVG."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tests.bench.runtime.figures import Line

WIDTH, LABEL, ROW, BAR = 980, 520, 26, 16
LONGEST = 4.0
"""Ratio at which a bar is cut."""
MET, MISSED, TARGET = "#2f855a", "#c05621", "#1a202c"


def write(folder: Path, lines: Sequence[Line], machine: str) -> list[Path]:
    """Write the three files; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "runtime.json": json.dumps([line.as_json() for line in lines], indent=2) + "\n",
        "runtime.md": as_table(lines, machine),
        "runtime.svg": as_plot(lines),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def as_table(lines: Sequence[Line], machine: str) -> str:
    """Return a table in Markdown."""
    rows = [
        f"Measured on: {machine}",
        "",
        "| what | ours | peer | ratio | spread | target | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in lines:
        unit = f" {line.unit}" if line.unit else ""
        figures = [_figure(line.ours, unit), _figure(line.peer, unit), _figure(line.ratio), _share(line.spread)]
        rows.append(f"| {' | '.join([line.name, *figures, line.target, _verdict(line)])} |")
    notes = [f"- {line.name}: {line.note}" for line in lines if line.note]
    return "\n".join([*rows, "", *notes]) + "\n"


def as_plot(lines: Sequence[Line]) -> str:
    """Return bars of the ratios that were measured, each with a mark where its target lies."""
    shown = [line for line in lines if line.ratio is not None]
    height = ROW * (len(shown) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for index, line in enumerate(shown):
        parts += _bar(line, ROW * index + ROW // 2)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(line: Line, top: int) -> list[str]:
    ratio, limit = line.ratio or 0.0, float(line.target.split()[1])
    length, mark = _scaled(ratio), LABEL + _scaled(limit)
    text = top + BAR - 4
    return [
        f'<text x="{LABEL - 8}" y="{text}" text-anchor="end">{escape(line.name)}</text>',
        f'<rect x="{LABEL}" y="{top}" width="{length:.0f}" height="{BAR}" fill="{MET if line.met else MISSED}"/>',
        f'<path d="M{mark:.0f} {top - 3}v{BAR + 6}" stroke="{TARGET}" stroke-width="2"/>',
        f'<text x="{LABEL + length + 6:.0f}" y="{text}">{ratio:.2f} (target {escape(line.target)})</text>',
    ]


def _scaled(ratio: float) -> float:
    return min(ratio, LONGEST) / LONGEST * (WIDTH - LABEL - 150)


def _figure(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:.3g}{unit}" if abs(value) < 1000 else f"{value:.0f}{unit}"


def _share(value: float | None) -> str:
    return "" if value is None else f"± {value:.0%}"


def _verdict(line: Line) -> str:
    return "not measured" if line.met is None else "yes" if line.met else "**no**"
