from modelservice_operator.engine.cache import TOMBSTONES, Cache, ObjectId, Record


def make_record(name: str = "chat", version: int = 1, uid: str = "u1", parent: str | None = "p") -> Record:
    return Record.of(ObjectId("Deployment", "team", name), uid, version, parent, {"version": version})


def test_newer_version_replaces_when_the_uid_is_the_same() -> None:
    cache = Cache()
    assert cache.upsert(make_record(version=1))
    assert cache.upsert(make_record(version=2))
    assert [r.version for r in cache.of_parent("p")] == [2]


def test_older_or_equal_version_is_ignored_when_a_newer_one_is_known() -> None:
    cache = Cache()
    cache.upsert(make_record(version=5))
    assert not cache.upsert(make_record(version=5))
    assert not cache.upsert(make_record(version=4))
    assert cache.get(make_record().id) == make_record(version=5)


def test_delete_is_ignored_when_a_newer_state_or_another_uid_is_known() -> None:
    cache = Cache()
    cache.upsert(make_record(version=7))
    assert cache.delete(make_record().id, "u1", 6) is None
    assert cache.delete(make_record().id, "other", 9) is None
    assert cache.get(make_record().id) is not None


def test_late_update_does_not_resurrect_when_the_object_was_deleted() -> None:
    cache = Cache()
    cache.upsert(make_record(version=3))
    assert cache.delete(make_record().id, "u1", 4) is not None
    assert not cache.upsert(make_record(version=3))
    assert cache.of_parent("p") == []


def test_object_returns_when_it_matches_the_selector_again_after_its_deletion_event() -> None:
    cache = Cache()
    cache.upsert(make_record(version=3))
    cache.delete(make_record().id, "u1", 4)
    assert cache.upsert(make_record(version=5))
    assert len(cache.of_parent("p")) == 1


def test_sweep_removes_what_the_list_lacks_when_it_is_not_newer_than_the_list() -> None:
    cache = Cache()
    for name, version in (("listed", 1), ("lost", 2), ("newer", 30)):
        cache.upsert(make_record(name, version, uid=name))
    gone = cache.sweep("Deployment", [ObjectId("Deployment", "team", "listed")], version=20)
    assert [r.id.name for r in gone] == ["lost"]
    assert {r.id.name for r in cache.of_kind("Deployment")} == {"listed", "newer"}


def test_parent_index_follows_when_the_parent_changes() -> None:
    cache = Cache()
    cache.upsert(make_record(version=1, parent="a"))
    cache.upsert(make_record(version=2, parent="b"))
    assert cache.of_parent("a") == []
    assert len(cache.of_parent("b")) == 1


def test_tombstones_stay_bounded_when_very_many_objects_are_deleted() -> None:
    cache = Cache()
    for index in range(TOMBSTONES + 10):
        cache.delete(ObjectId("Pod", "team", str(index)), str(index), 1)
    assert len(cache._tombstones) == TOMBSTONES


def test_sizes_count_records_when_kinds_differ() -> None:
    cache = Cache()
    cache.upsert(make_record())
    cache.upsert(Record.of(ObjectId("Pod", "team", "x"), "u2", 1, "p", {}))
    assert cache.sizes() == {"Deployment": 1, "Pod": 1}
    assert [r.uid for r in cache.drop_kind("Pod")] == ["u2"]
    assert cache.sizes()["Pod"] == 0
