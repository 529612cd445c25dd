"""Times of the week at which more replicas are kept. Pure: the clock is an argument.

A schedule is on from each time of its start until the next time of its end. While it is on, its replicas are the
fewest, unless minReplicas or another schedule asks for more. Cron expressions are read by cronsim, which treats the
two odd nights of a year as Debian's cron does.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ..api.reasons import Reason
from ..api.v1alpha1 import ModelService
from ..api.v1alpha1.scaling import Schedule
from ..api.v1alpha1.updates import UpdateWindow
from .errors import SpecError

_MINUTE: Final = timedelta(minutes=1)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def follow_schedules(service: ModelService, now: datetime) -> tuple[ModelService, float | None]:
    """The service with minReplicas as they are now, and in how many seconds that may change; None when it never does.

    While a schedule is on the service does not go to zero either. Raises SpecError when an expression or a time zone
    cannot be read.
    """
    block = service.spec.autoscaling
    if block is None or not block.schedules or service.spec.suspend:
        return service, None
    kept, changes = [block.min_replicas], []
    for number, schedule in enumerate(block.schedules):
        is_on, change = look_at_times(schedule, f"spec.autoscaling.schedules[{number}]", now)
        kept += [schedule.replicas] if is_on else []
        changes += [change] if change else []
    idle = block.idle if len(kept) == 1 else None
    autoscaling = block.model_copy(update={"min_replicas": max(kept), "idle": idle})
    spec = service.spec.model_copy(update={"autoscaling": autoscaling})
    soonest = min(changes, default=None)
    return service.model_copy(update={"spec": spec}), (soonest - now).total_seconds() if soonest else None


def look_at_times(schedule: Schedule | UpdateWindow, path: str, now: datetime) -> tuple[bool, datetime | None]:
    """Whether the schedule is on, and when it starts or ends next. Raises SpecError naming a field below `path`."""
    local = now.astimezone(_zone(schedule, path))
    begun, ended = (_last(getattr(schedule, field), f"{path}.{field}", local) for field in ("start", "end"))
    coming = (_times(getattr(schedule, field), f"{path}.{field}", local) for field in ("start", "end"))
    times = [found for found in (next(each, None) for each in coming) if found is not None]
    return begun > ended, min(times, default=None)


def _last(expression: str, path: str, local: datetime) -> datetime:
    """The last time of the expression, the running minute included."""
    after = (local.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE).astimezone(local.tzinfo)
    return next(_times(expression, path, after, reverse=True), _NEVER)


def _times(expression: str, path: str, local: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    try:
        return CronSim(expression, local, reverse)
    except CronSimError as error:
        message = f"{expression!r} is no cron expression ({error}); write minute, hour, day, month and weekday"
        raise SpecError(Reason.INVALID_SPEC, path, message) from error


def _zone(schedule: Schedule | UpdateWindow, path: str) -> ZoneInfo:
    try:
        return ZoneInfo(schedule.timezone or "UTC")
    except (KeyError, ValueError, OSError) as error:
        message = f"{schedule.timezone!r} is no known time zone; write one such as Europe/Berlin, or none for UTC"
        raise SpecError(Reason.INVALID_SPEC, f"{path}.timezone", message) from error
