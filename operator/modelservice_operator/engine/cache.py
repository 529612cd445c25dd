"""The last known state of every watched object, safe against the ways in which event streams lie.

Watch streams and lists overlap, repeat and arrive late, so nothing may depend on the order of arrival:

* An update is taken only when its version is newer than the one that is known (of the same uid).
* A deletion is taken only when it is not older than what is known, and leaves a tombstone, so that a late update or a
  list made before the deletion cannot bring the object back.
* A complete list sweeps: what it lacks is gone, unless it is newer than the list itself. This is the only way to
  notice a deletion that the stream lost.

Versions are compared as integers. The cache holds whatever body the caller kept (a projection, never the whole
object), packed, and groups the records by their parent, the key of the work queue.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelservice_operator.engine.packing import pack, unpack

TOMBSTONES = 4096
"""How many deletions are remembered.

They matter only while events older than the deletion may still arrive: seconds.
"""


@dataclass(frozen=True, slots=True)
class ObjectId:
    """Where an object lives. `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Record:
    """One cached object.

    Identity, version and the projected body; `parent` is the key of the work that it belongs to.
    """

    id: ObjectId
    uid: str
    version: int
    parent: Hashable | None
    packed: bytes

    @staticmethod
    def of(id: ObjectId, uid: str, version: int, parent: Hashable | None, body: Mapping[str, Any]) -> "Record":
        """Make a record of a body of plain JSON values."""
        return Record(id, uid, version, parent, pack(body))

    @property
    def body(self) -> dict[str, Any]:
        """The projected body: a new copy each time, which the caller may keep and change."""
        body: dict[str, Any] = unpack(self.packed)
        return body


class Cache:
    """Records by identity and by parent. Not thread-safe: it lives on the event loop, and no method suspends."""

    def __init__(self) -> None:
        self._kinds: defaultdict[str, dict[ObjectId, Record]] = defaultdict(dict)
        self._children: defaultdict[Hashable, dict[ObjectId, Record]] = defaultdict(dict)
        self._tombstones: OrderedDict[str, int] = OrderedDict()

    def get(self, id: ObjectId) -> Record | None:
        """Return the record at `id`, or None."""
        return self._kinds[id.kind].get(id)

    def of_kind(self, kind: str) -> Iterator[Record]:
        """Every record of a kind, in the order of first arrival; safe against changes while iterating."""
        return iter(list(self._kinds[kind].values()))

    def of_parent(self, parent: Hashable) -> list[Record]:
        """Every record that belongs to `parent`."""
        return list(self._children.get(parent, {}).values())

    def sizes(self) -> dict[str, int]:
        """Number of records per kind."""
        return {kind: len(records) for kind, records in self._kinds.items()}

    def upsert(self, record: Record) -> bool:
        """Take a newer state of an object; return whether anything changed."""
        if self._tombstones.get(record.uid, -1) >= record.version:
            return False
        known = self._kinds[record.id.kind].get(record.id)
        if known is not None and known.version >= record.version:
            return False
        if known is not None:
            self._remove(known)
        self._kinds[record.id.kind][record.id] = record
        if record.parent is not None:
            self._children[record.parent][record.id] = record
        return True

    def delete(self, id: ObjectId, uid: str, version: int) -> Record | None:
        """Forget an object unless a newer state or another object of that name is known; return what was removed."""
        self._bury(uid, version)
        known = self._kinds[id.kind].get(id)
        if known is None or known.uid != uid or known.version > version:
            return None
        self._remove(known)
        return known

    def sweep(self, kind: str, seen: Iterable[ObjectId], version: int) -> list[Record]:
        """Remove the records of `kind` that a complete list at `version` did not contain; return them."""
        alive = set(seen)
        gone = [r for r in self._kinds[kind].values() if r.id not in alive and r.version <= version]
        for record in gone:
            self._bury(record.uid, record.version)
            self._remove(record)
        return gone

    def drop_kind(self, kind: str) -> list[Record]:
        """Forget a kind that is no longer served; return its records."""
        gone = list(self._kinds[kind].values())
        for record in gone:
            self._remove(record)
        return gone

    def _remove(self, record: Record) -> None:
        del self._kinds[record.id.kind][record.id]
        if record.parent is not None:
            siblings = self._children[record.parent]
            del siblings[record.id]
            if not siblings:
                del self._children[record.parent]

    def _bury(self, uid: str, version: int) -> None:
        self._tombstones[uid] = max(version, self._tombstones.pop(uid, -1))
        while len(self._tombstones) > TOMBSTONES:
            self._tombstones.popitem(last=False)
