"""From raw objects, however they arrive, to the cache and the queue.

Watch events, list items and the answers to our own writes all come through here, are projected at once (the raw
object is never kept) and ask for work only when they brought something new. What a person or the cluster changed has
priority over what was merely listed or never seen.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from modelservice_operator.controller.keys import Key, parent_of
from modelservice_operator.controller.usage import Usage
from modelservice_operator.domain import project
from modelservice_operator.engine.cache import Cache, ObjectId, Record
from modelservice_operator.engine.queue import Priority, WorkQueue
from modelservice_operator.kube.resources import MODEL_SERVICE, RUNTIME_PROFILE, Resource

log = logging.getLogger(__name__)


def record_of(resource: Resource, raw: Mapping[str, Any]) -> Record:
    """Project a raw object into a cache record."""
    metadata = raw["metadata"]
    return Record.of(
        id=_id_of(resource, metadata),
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        parent=parent_of(resource, metadata),
        body=project(resource.kind, dict(raw)),
    )


def _id_of(resource: Resource, metadata: Mapping[str, Any]) -> ObjectId:
    return ObjectId(resource.kind, metadata.get("namespace", ""), metadata["name"])


class Intake:
    """Feeds the cache and asks the queue for work. `usage` looks at what the cluster says, not at our own writes."""

    def __init__(self, cache: Cache, queue: WorkQueue[Key], watched: Callable[[str], None], usage: Usage) -> None:
        self._cache = cache
        self._queue = queue
        self._watched = watched
        self._usage = usage

    def on_event(self, resource: Resource, type_: str, raw: dict[str, Any]) -> None:
        """Take one event of a watch stream."""
        self._watched(resource.kind)
        metadata = raw["metadata"]
        id = _id_of(resource, metadata)
        if type_ == "DELETED":
            gone = self._cache.delete(id, metadata["uid"], int(metadata["resourceVersion"]))
            if gone is not None:
                self._usage.forget(gone)
                self.ask_for(gone, Priority.CHANGE)
            return
        known, record = self._cache.get(id), self.record_of(resource, raw)
        if self._cache.upsert(record):
            self._usage.see(record)
            fresh = type_ == "LISTED" or (known is None and resource.kind == MODEL_SERVICE.kind)
            self.ask_for(record, Priority.ROUTINE if fresh else Priority.CHANGE)
            if known is not None and known.parent != record.parent:
                self.ask_for(known, Priority.CHANGE)

    def record_of(self, resource: Resource, raw: Mapping[str, Any]) -> Record:
        """The record of an object: the one that is known if it is of this version, since projecting takes time."""
        metadata = raw["metadata"]
        known = self._cache.get(_id_of(resource, metadata))
        if known is not None and (known.uid, str(known.version)) == (metadata["uid"], metadata["resourceVersion"]):
            return known
        return record_of(resource, raw)

    def take(self, resource: Resource, raw: Mapping[str, Any]) -> Record:
        """Take the answer to a write of our own: it is known already, so its event will ask for nothing."""
        record = self.record_of(resource, raw)
        self._cache.upsert(record)
        return record

    def on_resync(self, record: Record) -> None:
        """Take a record that a complete list corrected, or found to be gone."""
        kept = self._cache.get(record.id)
        if kept is not None and kept.uid == record.uid:
            self._usage.see(record)
        else:
            self._usage.forget(record)
        self.ask_for(record, Priority.ROUTINE)

    def ask_for(self, record: Record, priority: Priority) -> None:
        """Ask for work on everything that depends on a record."""
        if isinstance(record.parent, Key):
            self._queue.add(record.parent, priority)
        elif record.id.kind == RUNTIME_PROFILE.kind:
            for key in self._users_of(record.id.name):
                self._queue.add(key, priority)

    def ask_for_all(self) -> None:
        """Ask for a routine look at every ModelService."""
        for record in self._cache.of_kind(MODEL_SERVICE.kind):
            self.ask_for(record, Priority.ROUTINE)

    def _users_of(self, profile: str) -> list[Key]:
        """The ModelServices that name the profile, and those that name none, since the default may have moved."""
        users = []
        for record in self._cache.of_kind(MODEL_SERVICE.kind):
            runtime = (record.body.get("spec") or {}).get("runtime") or {}
            named = (runtime.get("profileRef") or {}).get("name")
            if named in (None, "", profile) and isinstance(record.parent, Key):
                users.append(record.parent)
        return users
