"""What the API server's audit log says that operators did: the witness that no operator can talk to."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

Event = dict[str, Any]

WRITES = ("create", "update", "patch", "delete", "deletecollection")


@dataclass
class Audit:
    """The part of the log from `mark` on: what `user` did, or, without one, whoever calls itself our operator."""

    path: Path
    user: str = ""
    offset: int = 0

    def mark(self) -> "Audit":
        """Forget everything up to now."""
        self.offset = self.path.stat().st_size if self.path.exists() else 0
        return self

    def writes(self) -> list[Event]:
        """The successful writes of operators since the mark, leases apart."""
        return [event for event in self.requests() if event["verb"] in WRITES and is_success(event)]

    def requests(self) -> list[Event]:
        """Every request of operators about objects that was answered since the mark, leases and watches apart."""
        events = self._operators_events()
        return [e for e in events if resource_of(e) not in ("", "leases") and e["verb"] != "watch"]

    def lease_writes(self) -> list[Event]:
        """The successful writes of leases since the mark."""
        events = (event for event in self._operators_events() if resource_of(event) == "leases")
        return [event for event in events if event["verb"] in WRITES and is_success(event)]

    def _operators_events(self) -> Iterator[Event]:
        for event in self._events():
            if event.get("stage") == "ResponseComplete" and self._is_operators(event):
                yield event

    def _is_operators(self, event: Event) -> bool:
        if self.user:
            return bool(event["user"].get("username") == self.user)
        return str(event.get("userAgent", "")).startswith("modelservice-operator/")

    def _events(self) -> Iterator[Event]:
        needle = self.user.encode()
        with self.path.open("rb") as log:
            log.seek(max(0, self.offset - 1))
            if self.offset and log.read(1) != b"\n":
                log.readline()  # the mark was made while this line was being written
            for line in log:
                if needle in line and line.endswith(b"}\n"):
                    yield json.loads(line)


def resource_of(event: Event) -> str:
    """The plural of the kind that was asked for; empty for requests that are about none."""
    return str((event.get("objectRef") or {}).get("resource", ""))


def is_success(event: Event) -> bool:
    """Whether the answer was one of success."""
    return 200 <= event.get("responseStatus", {}).get("code", 0) < 300


def received_at(event: Event) -> float:
    """When the API server got the request, in seconds since the epoch."""
    return datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()


def login_of(event: Event) -> str:
    """The id of the token that came with the request: it tells replicas of one account apart."""
    extra = event["user"].get("extra") or {}
    return str(extra.get("authentication.kubernetes.io/credential-id", [""])[0])


def describe(events: list[Event]) -> list[str]:
    """Verb, resource and name of audit events, for messages."""
    return [
        f"{e['verb']} {e['objectRef']['resource']}/{e['objectRef'].get('subresource', '')} {e['objectRef'].get('name')}"
        for e in events
    ]


def strangers(audit: Audit, lasts: float = 11.0) -> list[Event]:
    """The writes since the mark by a replica that did not hold the lease when the API server received them.

    The holder is whoever wrote the lease last, for at most `lasts` seconds: the renew deadline and one second for the
    way. What came before the first lease write since the mark cannot be judged.
    """
    claims = sorted((received_at(event), login_of(event)) for event in audit.lease_writes())
    found = []
    for event in audit.writes():
        before = [claim for claim in claims if claim[0] <= received_at(event)]
        if before and (before[-1][1] != login_of(event) or received_at(event) - before[-1][0] > lasts):
            found.append(event)
    return found
