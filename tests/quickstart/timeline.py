"""Steps with a clock: what is running now, how long each step took, and the table at the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass
class Timeline:
    """Measures named steps in seconds of wall-clock time and prints each when it starts and when it ends."""

    console: Console
    started: float = field(default_factory=time.monotonic)
    steps: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block under `name`; a failing block is named too, and its error passes through."""
        self.console.print(f"[bold]==>[/] {name}")
        start = time.monotonic()
        try:
            yield
        except BaseException:
            self.console.print(f"[red]    failed after {time.monotonic() - start:.1f} s:[/] {name}")
            raise
        seconds = time.monotonic() - start
        self.steps.append((name, seconds))
        self.console.print(f"    [green]done[/] in {seconds:.1f} s")

    @property
    def total(self) -> float:
        """Seconds since the timeline was made."""
        return time.monotonic() - self.started

    def table(self) -> Table:
        """The split by step, as a table for people."""
        table = Table("step", "seconds", title="Where the time went", title_justify="left")
        for name, seconds in self.steps:
            table.add_row(name, f"{seconds:.1f}")
        table.add_row("[bold]in all[/]", f"[bold]{self.total:.1f}[/]")
        table.columns[1].justify = "right"
        return table
