"""The report: JSON for machines, a table for people, and a plot."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from tests.bench.operator.figures import Figure
from tests.bench.operator.measures import Curve
from tests.bench.operator.subject import Use

Samples = Sequence[tuple[str, Use]]


def write(folder: Path, figures: Sequence[Figure], curve: Curve, samples: Samples, about: str) -> list[Path]:
    """Write the three files; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"operator.{suffix}" for suffix in ("json", "md", "svg")]
    paths[0].write_text(json.dumps([each.as_json() for each in figures], indent=2) + "\n")
    paths[1].write_text("\n".join(table(figures, about)) + "\n")
    _plot(paths[2], curve, samples, about)
    return paths


def table(figures: Sequence[Figure], about: str) -> Iterator[str]:
    """The lines of a table in Markdown."""
    yield about
    yield ""
    yield "| what | measured | target | met |"
    yield "| --- | --- | --- | --- |"
    for each in figures:
        met = "" if each.met is None else "yes" if each.met else "**no**"
        yield f"| {each.name} | {each.value:.4g} {each.unit} | {each.target or ''} | {met} |"


def _plot(path: Path, curve: Curve, samples: Samples, about: str) -> None:
    drawing = Drawing(figsize=(9, 8), layout="constrained")
    top, bottom = drawing.subplots(2, 1)
    _draw_burst(top, curve)
    _draw_use(bottom, samples)
    drawing.suptitle(about, fontsize=9)
    drawing.savefig(path)


def _draw_burst(axes: Axes, curve: Curve) -> None:
    for label, times in (("created", curve.created), ("all children", curve.children), ("Ready", curve.ready)):
        axes.step([0.0, *sorted(times)], range(len(times) + 1), where="post", label=label)
    axes.set(xlabel="seconds since the first request", ylabel="objects", title="burst")
    axes.legend()


def _draw_use(axes: Axes, samples: Samples) -> None:
    if not samples:
        return
    start = samples[0][1].at
    axes.plot([use.at - start for _, use in samples], [use.resident for _, use in samples], label="memory, MiB")
    shares = [
        (after.at - start, 100 * max(0.0, after.cpu - before.cpu) / (after.at - before.at))
        for (_, before), (_, after) in pairwise(samples)
    ]
    axes.plot([at for at, _ in shares], [share for _, share in shares], label="CPU, % of a core", linewidth=0.7)
    for index, (phase, use) in enumerate(samples):
        if index == 0 or samples[index - 1][0] != phase:
            axes.axvline(use.at - start, color="0.8", linewidth=0.7)
            axes.annotate(phase, (use.at - start, axes.get_ylim()[1]), rotation=90, fontsize=7, va="top")
    axes.set(xlabel="seconds", title="the operator's process")
    axes.legend(loc="center right")
