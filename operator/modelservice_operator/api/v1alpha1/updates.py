"""When the pods of running services take a new pod template that their own specs did not ask for."""

from typing import Annotated, Literal

from pydantic import Field

from ..markers import Cel
from .block import Block
from .scaling import Cron, TimeZone


class UpdateWindow(Block):
    """A time of the week in which pods may be replaced."""

    start: Cron
    """When it begins, as a cron expression: minute, hour, day, month and weekday, such as 0 2 * * 6."""
    end: Cron
    """When it ends, as a cron expression."""
    timezone: TimeZone = ""
    """Time zone of both, such as Europe/Berlin; empty means UTC."""


class Updates(Block):
    """When running services take what this profile, or a newer operator, changes in their pods.

    A service that has no pods, or whose pods all fail, takes it at once, and so does one whose own spec
    asks for other pods.
    """

    RULES = (
        Cel(
            "has(self.window) == (has(self.policy) && self.policy == 'Window')",
            "goes with policy: Window, and that with it; set both or remove both",
            lambda block: block.has("window") == (block.policy == "Window"),
            field="window",
        ),
        Cel(
            "!has(self.maxServices) || (has(self.policy) && self.policy == 'Wave')",
            "needs policy: Wave; set spec.updates.policy or remove spec.updates.maxServices",
            lambda block: not block.has("maxServices") or block.policy == "Wave",
            field="maxServices",
        ),
    )

    policy: Literal["Manual", "Window", "Wave", "Immediate"] = "Manual"
    """Manual waits for the annotation modelservice.dev/take-template on the ModelService, or for a change of what its
    spec says about pods. Window waits for a time of the week, Wave lets a few services go at a time and stops while one
    of them does not get ready, Immediate replaces all pods at once."""
    window: UpdateWindow | None = None
    """The time of the policy Window."""
    max_services: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How many services may be replacing their pods at a time with the policy Wave; 1 when left out."""
