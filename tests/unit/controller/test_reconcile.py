import pytest

from modelservice_operator.kube.errors import ApiError, Conflict, Forbidden, Invalid, Throttled, Unavailable
from modelservice_operator.kube.resources import BY_KIND, MODEL_SERVICE
from tests.unit.controller.world import KEY, NAMESPACE, World

BASIC = {"ServiceAccount", "Deployment", "Service"}


@pytest.fixture
def world() -> World:
    return World()


async def test_children_are_applied_once_when_a_modelservice_appears(world: World) -> None:
    world.make()
    outcomes = await world.settle()
    assert [o.result for o in outcomes] == ["Applied"]
    applied = [kind for verb, kind, _ in world.written() if verb == "apply"]
    assert set(applied) == BASIC
    assert len(applied) == len(BASIC)
    assert applied.index("Deployment") > applied.index("ServiceAccount")


async def test_nothing_is_read_when_children_are_made(world: World) -> None:
    world.make()
    await world.settle()
    assert world.names("Deployment") == {"chat"}
    assert world.kube.reads == []


async def test_child_that_lost_its_labels_unseen_gets_them_back_in_one_pass(world: World) -> None:
    world.make()
    await world.settle()
    stripped = world.kube.objects["Service", NAMESPACE, "chat"]
    labels = stripped["metadata"].pop("labels")
    world.intake.on_event(BY_KIND["Service"], "DELETED", world.kube.put(BY_KIND["Service"], stripped))
    assert [outcome.result for outcome in await world.settle()] == ["Applied"]
    assert world.kube.objects["Service", NAMESPACE, "chat"]["metadata"]["labels"] == labels


async def test_child_is_made_when_what_had_its_name_is_gone_again(world: World) -> None:
    refused = iter([Conflict(409, "the object has been modified", "Conflict")])
    world.kube.fail = lambda verb, kind, name: next(refused, None) if (verb, kind) == ("apply", "Service") else None
    world.make()
    assert {outcome.retry for outcome in await world.settle()} == {False}
    assert world.names("Service") == {"chat"}


async def test_nothing_is_requested_when_everything_is_in_sync(world: World) -> None:
    world.make()
    await world.settle()
    world.written()
    world.kube.reads.clear()
    world.queue.add(KEY)
    assert [o.result for o in await world.settle()] == ["InSync"]
    assert world.written() == []
    assert world.kube.reads == []


async def test_events_of_own_writes_ask_for_nothing_when_they_arrive(world: World) -> None:
    world.make()
    await world.settle()
    for (kind, _, _), body in list(world.kube.objects.items()):
        world.intake.on_event(BY_KIND[kind], "ADDED", body)
    assert world.queue.take() is None


@pytest.mark.parametrize("kind", sorted(BASIC))
async def test_child_returns_when_its_deletion_is_seen(world: World, kind: str) -> None:
    world.make()
    await world.settle()
    world.remove(kind, "chat")
    await world.settle()
    assert "chat" in world.names(kind)


async def test_child_returns_when_its_deletion_was_missed_and_a_resync_finds_it(world: World) -> None:
    world.make()
    await world.settle()
    world.remove("Service", "chat", tell=False)
    assert world.queue.take() is None
    await world.resync.list_kind("Service")
    await world.settle()
    assert "chat" in world.names("Service")


async def test_nothing_is_written_when_a_new_operator_finds_everything_in_place(world: World) -> None:
    world.make()
    await world.settle()
    again = World(world.kube)
    await again.list_everything()
    again.written()
    await again.settle()
    assert [w for w in again.written() if w[0] == "apply"] == []


async def test_no_child_is_made_when_the_modelservice_is_being_deleted(world: World) -> None:
    body = world.make()
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.put(body, "MODIFIED")
    assert [o.result for o in await world.settle()] == ["Gone"]
    assert world.written() == []


async def test_foreign_object_is_not_touched_when_it_has_the_name_of_a_child(world: World) -> None:
    foreign = {"kind": "Service", "metadata": {"namespace": NAMESPACE, "name": "chat"}, "spec": {"a": "b"}}
    world.kube.put(BY_KIND["Service"], foreign)
    world.make()
    outcomes = await world.settle()
    assert outcomes[-1].result == "NameConflict"
    assert outcomes[-1].retry
    assert world.kube.objects[("Service", NAMESPACE, "chat")]["spec"] == {"a": "b"}


async def test_other_children_are_applied_when_one_is_refused(world: World) -> None:
    refusal = Invalid(422, "spec.ports: too many", "Invalid")
    world.kube.fail = lambda verb, kind, name: refusal if (verb, kind) == ("apply", "Service") else None
    world.make()
    outcomes = await world.settle()
    assert (outcomes[0].result, outcomes[0].retry) == ("Invalid", True)
    assert (outcomes[0].after or 0) >= 60
    assert world.names("Deployment") == {"chat"}
    assert "spec.ports: too many" in str(world.status()["conditions"])


@pytest.mark.parametrize(
    ("error", "at_least"),
    [
        (Unavailable(503, "busy"), 0.0),
        (Throttled(429, "slow down", retry_after=7.0), 7.0),
        (Forbidden(403, "no"), 30.0),
        (Conflict(409, "changed"), 0.0),
    ],
)
async def test_key_is_retried_as_patiently_as_the_error_asks(world: World, error: ApiError, at_least: float) -> None:
    world.kube.fail = lambda verb, kind, name: error if (verb, kind) == ("apply", "Service") else None
    world.make()
    outcome = (await world.settle())[0]
    assert outcome.retry
    assert (outcome.after or 0.0) >= at_least


async def test_no_event_makes_a_request_before_the_time_that_the_server_asked_for(world: World) -> None:
    error = Throttled(429, "slow down", retry_after=60.0)
    world.kube.fail = lambda verb, kind, name: error if (verb, kind) == ("apply", "Service") else None
    body = world.make()
    await world.settle()
    before = len(world.kube.writes)
    body["spec"]["replicas"] = 2
    world.put(body, "MODIFIED")
    assert [outcome.result for outcome in await world.settle()] == ["Throttled"]
    assert len(world.kube.writes) == before


async def test_neighbour_is_served_when_a_spec_cannot_be_carried_out(world: World) -> None:
    world.make("lost", runtime={"profileRef": {"name": "nowhere"}})
    world.make("good")
    results = {o.result for o in await world.settle()}
    assert results == {"ProfileNotFound", "Applied"}
    assert world.names("Deployment") == {"good"}


async def test_condition_says_so_when_a_spec_cannot_even_be_read(world: World) -> None:
    world.make("odd", model={"uri": 7})
    world.make("good")
    assert {o.result for o in await world.settle()} == {"InvalidSpec", "Applied"}


async def test_nothing_is_written_when_the_leadership_is_lost(world: World) -> None:
    world.make()
    world.leads = False
    assert [o.result for o in await world.settle()] == ["NotLeading"]
    assert world.written() == []


async def test_users_are_asked_for_when_a_profile_changes(world: World) -> None:
    world.make("a", runtime={"profileRef": {"name": "gpu"}})
    world.make("b", runtime={"profileRef": {"name": "other"}})
    world.make("c")
    await world.settle()
    world.put({"kind": "RuntimeProfile", "metadata": {"name": "gpu"}, "spec": {}})
    asked = set()
    while (key := world.queue.take()) is not None:
        asked.add(key.name)
        world.queue.done(key)
    assert asked == {"a", "c"}


async def test_child_is_pruned_when_its_block_is_gone(world: World) -> None:
    body = world.make(availability={"minAvailable": 1})
    await world.settle()
    assert world.names("PodDisruptionBudget") == {"chat"}
    fresh = dict(world.kube.objects[(MODEL_SERVICE.kind, NAMESPACE, "chat")])
    fresh["spec"] = {"model": body["spec"]["model"]}
    world.put(fresh, "MODIFIED")
    await world.settle()
    assert world.names("PodDisruptionBudget") == set()


async def test_service_is_looked_at_again_when_a_schedule_starts_or_ends() -> None:
    world = World()
    await world.list_everything()
    schedule = {"start": "* * * * *", "end": "0 0 29 2 *", "replicas": 3}
    world.make(autoscaling={"maxReplicas": 4, "schedules": [schedule]})
    outcomes = await world.settle()
    assert outcomes[-1].after is not None
    assert outcomes[-1].after <= 60
    autoscaler = world.kube.objects["HorizontalPodAutoscaler", NAMESPACE, "chat"]
    assert autoscaler["spec"]["minReplicas"] == 3
