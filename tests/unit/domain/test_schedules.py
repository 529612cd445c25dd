"""Schedules: what is kept at which time, across weeks, time zones and the odd nights of a year."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelservice_operator.domain import SpecError, follow_schedules
from tests.support.builders import make_modelservice

OFFICE = {"start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "timezone": "Europe/Berlin", "replicas": 4}
PEAK = {"start": "30 11 * * *", "end": "30 13 * * *", "timezone": "Europe/Berlin", "replicas": 6}


def _kept(now: str, *schedules: dict[str, Any], **autoscaling: Any) -> tuple[int, float | None]:
    block = {"maxReplicas": 9, "schedules": list(schedules), **autoscaling}
    service, change = follow_schedules(
        make_modelservice().with_spec(autoscaling=block).build(), datetime.fromisoformat(now)
    )
    assert service.spec.autoscaling is not None
    return service.spec.autoscaling.min_replicas, change


@pytest.mark.parametrize(
    ("now", "kept"),
    [
        ("2026-01-30T06:59:59Z", 1),  # a Friday in winter: 7:59:59 in Berlin
        ("2026-01-30T07:00:00Z", 4),
        ("2026-01-30T16:59:59.9Z", 4),
        ("2026-01-30T17:00:00Z", 1),
        ("2026-01-31T10:00:00Z", 1),  # Saturday
        ("2026-07-31T06:00:00Z", 4),  # summer: 8:00 in Berlin
        ("2026-07-31T05:59:00Z", 1),
    ],
)
def test_minimum_is_that_of_the_time_zone(now: str, kept: int) -> None:
    assert _kept(now, OFFICE)[0] == kept


def test_highest_number_counts() -> None:
    noon = "2026-01-30T11:00:00Z"
    assert _kept(noon, OFFICE, PEAK)[0] == 6
    assert _kept(noon, PEAK, OFFICE)[0] == 6
    assert _kept(noon, OFFICE, PEAK, minReplicas=8)[0] == 8


def test_next_change_is_the_soonest_of_all() -> None:
    assert _kept("2026-01-30T07:00:10Z", OFFICE)[1] == timedelta(hours=10).total_seconds() - 10
    assert _kept("2026-01-30T07:00:00Z", OFFICE, PEAK)[1] == timedelta(hours=3.5).total_seconds()
    assert _kept("2026-01-30T07:00:00Z", schedules=[])[1] is None


def test_schedule_may_run_past_midnight_and_over_a_year() -> None:
    night = {"start": "0 22 * * *", "end": "0 6 * * *", "replicas": 3}
    assert [_kept(f"2026-03-01T{hour:02}:00:00Z", night)[0] for hour in (21, 22, 23, 0, 5, 6)] == [1, 3, 3, 3, 3, 1]
    season = {"start": "0 0 1 DEC *", "end": "0 0 7 JAN *", "replicas": 2}
    assert _kept("2027-01-02T00:00:00Z", season)[0] == 2
    assert _kept("2027-02-02T00:00:00Z", season)[0] == 1


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_schedule_ends_in_the_nights_that_have_an_hour_less_or_more(day: str) -> None:
    night = {"start": "30 2 * * *", "end": "30 3 * * *", "timezone": "Europe/Berlin", "replicas": 3}
    midday = datetime.fromisoformat(f"{day}T12:00:00Z")
    assert _kept(midday.isoformat(), night)[0] == 1


@given(st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)), st.sampled_from([OFFICE, PEAK]))
def test_nothing_changes_before_the_change_that_is_announced(when: datetime, schedule: dict[str, Any]) -> None:
    now = when.replace(tzinfo=UTC)
    kept, change = _kept(now.isoformat(), schedule)
    assert change is not None
    assert change > 0
    just_before = now + timedelta(seconds=change) - timedelta(milliseconds=1)
    if just_before > now:
        assert _kept(just_before.isoformat(), schedule)[0] == kept


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": "0 25 * * *"}, "schedules[0].start: '0 25 * * *' is no cron expression"),
        ({"end": "0 0 31 2 *"}, "schedules[0].end"),
        ({"timezone": "Europe/Atlantis"}, "schedules[0].timezone: 'Europe/Atlantis' is no known time zone"),
        ({"timezone": "Europe"}, "schedules[0].timezone"),
    ],
)
def test_mistake_is_told_with_its_field(change: dict[str, str], words: str) -> None:
    with pytest.raises(SpecError) as raised:
        _kept("2026-01-30T07:00:00Z", {**OFFICE, **change})
    assert words in str(raised.value)


def test_schedules_of_a_suspended_service_wait() -> None:
    block = {"maxReplicas": 9, "schedules": [OFFICE]}
    service = make_modelservice().with_spec(autoscaling=block, suspend=True).build()
    assert follow_schedules(service, datetime(2026, 1, 30, 9, tzinfo=UTC)) == (service, None)
