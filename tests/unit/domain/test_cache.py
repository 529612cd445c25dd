"""spec.cache: one place for one content, used by every service that asks for it, and refused where it cannot work."""

from dataclasses import replace
from typing import Any

import pytest

from modelservice_operator.api.reasons import Reason
from modelservice_operator.domain import OPEN, Claim, Facts, Gate, SpecError, claim_named_in, desired, judge_source
from modelservice_operator.domain.cache import in_cache
from modelservice_operator.domain.collector import collectors, is_outdated, let_go
from modelservice_operator.domain.inspection import Inspection
from modelservice_operator.domain.source import source_of
from modelservice_operator.render import Renderer
from tests.support.builders import FACTS, ModelServiceBuilder, make_children, make_live, make_modelservice, render_all
from tests.support.preflights import COMMIT

DIGEST = "ab" * 32
NODE = make_modelservice().with_spec(cache={"strategy": "Node"})
SHARED = make_modelservice().with_spec(cache={"strategy": "Shared", "claimName": "models"})
WITH_CLAIM = replace(FACTS, claim=Claim("models", "uid-claim", ("ReadWriteMany",)))
FOUND = Gate(found=Inspection("s", resolved_revision=COMMIT))


def _pod(builder: ModelServiceBuilder, gate: Gate = FOUND, facts: Facts = WITH_CLAIM) -> dict[str, Any]:
    children = render_all(builder.build(), facts=facts, gate=gate)
    return next(dict(body["spec"]["template"]["spec"]) for body in children if body["kind"] == "Deployment")


def _place(builder: ModelServiceBuilder, resolved: str = COMMIT) -> str:
    service = builder.build()
    return in_cache(source_of(service, "", resolved), service, WITH_CLAIM, resolved).fetch_args[2]


@pytest.mark.parametrize(
    ("spec", "claim"),
    [
        ({}, ""),
        ({"cache": None}, ""),
        ({"cache": {"strategy": "None"}}, ""),
        ({"cache": {"strategy": "Node"}}, "modelservice-node-cache"),
        ({"cache": {"strategy": "Shared", "claimName": "models"}}, "models"),
        ({"cache": {"strategy": "Shared"}}, ""),
    ],
)
def test_claim_follows_from_the_strategy(spec: dict[str, Any], claim: str) -> None:
    assert claim_named_in(spec) == claim


def test_fetch_sees_the_cache_and_the_server_its_own_model_only() -> None:
    pod = _pod(SHARED)
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == "model")
    assert volume["persistentVolumeClaim"] == {"claimName": "models"}
    fetch = pod["initContainers"][0]
    folder = fetch["args"][2]
    assert fetch["args"][-2:] == ["--cache-user=chat", "--deadline=1800"]
    assert {"name": "model", "mountPath": "/cache"} in fetch["volumeMounts"]
    place = {"name": "model", "mountPath": "/models/chat", "subPath": folder.removeprefix("/cache/"), "readOnly": True}
    assert place in pod["containers"][0]["volumeMounts"]


def test_services_with_the_same_files_share_one_place() -> None:
    uri = "hf://Qwen/Qwen2.5-0.5B-Instruct@main"
    other = make_modelservice(uri, name="other").with_spec(cache={"strategy": "Node"})
    assert _place(NODE) == _place(other) == _place(SHARED)
    assert _place(NODE.with_model(servedName="x", task="chat")) == _place(NODE)


def test_other_files_have_another_place() -> None:
    larger = make_modelservice("hf://Qwen/Qwen2.5-7B-Instruct").with_spec(cache={"strategy": "Node"})
    filtered = NODE.with_model(files={"exclude": ["*.md"]})
    included = NODE.with_model(files={"include": ["*.md"]})
    places = {_place(NODE), _place(NODE, "f" * 40), _place(larger), _place(filtered), _place(included)}
    assert len(places) == 5


@pytest.mark.parametrize(
    ("uri", "model"),
    [
        ("hf://org/name", {"revision": COMMIT}),
        (f"hf://org/name@{COMMIT}", {}),
        (f"https://models.example.com/model.tar#sha256={DIGEST}", {}),
    ],
)
def test_place_is_known_without_a_preflight_when_the_address_cannot_change(uri: str, model: dict[str, Any]) -> None:
    builder = make_modelservice(uri).with_model(**model).with_spec(cache={"strategy": "Node"})
    assert _pod(builder, OPEN)["initContainers"][0]["args"][2].startswith("/cache/models/")


@pytest.mark.parametrize(
    ("uri", "way_out"),
    [("hf://org/name@main", "full commit"), ("https://models.example.com/model.tar", "#sha256=")],
)
def test_spec_error_tells_how_to_fix_the_revision_when_nothing_does(uri: str, way_out: str) -> None:
    with pytest.raises(SpecError, match=way_out) as caught:
        desired(make_modelservice(uri).with_spec(cache={"strategy": "Node"}).build(), None, WITH_CLAIM)
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_SPEC, "spec.cache.strategy")


def test_nothing_is_refused_while_the_preflight_runs_or_nobody_asks_for_pods() -> None:
    assert desired(NODE.build(), None, WITH_CLAIM, Gate(is_open=False))
    assert desired(NODE.with_spec(replicas=0).build(), None, WITH_CLAIM)


@pytest.mark.parametrize(
    ("builder", "field", "words"),
    [(NODE, "spec.cache.strategy", "nodeCache.namespaces"), (SHARED, "spec.cache.claimName", "'models'")],
)
def test_spec_error_names_the_claim_when_it_does_not_exist(
    builder: ModelServiceBuilder, field: str, words: str
) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        desired(builder.build(), None, FACTS, FOUND)
    assert (caught.value.reason, caught.value.field) == (Reason.CACHE_CLAIM_NOT_FOUND, field)


@pytest.mark.parametrize(
    ("spec", "is_refused"),
    [
        ({}, True),
        ({"replicas": 3, "rollout": {"strategy": "Recreate"}}, True),
        ({"autoscaling": {"maxReplicas": 3}, "rollout": {"strategy": "Recreate"}}, True),
        ({"autoscaling": {"backend": "External"}, "replicas": 1, "rollout": {"strategy": "Recreate"}}, True),
        ({"rollout": {"strategy": "Recreate"}}, False),
        ({"replicas": 0, "rollout": {"strategy": "Recreate"}}, False),
        ({"autoscaling": {"maxReplicas": 1}, "rollout": {"strategy": "Recreate"}}, False),
    ],
)
def test_claim_of_one_node_suffices_for_one_pod_at_a_time_alone(spec: dict[str, Any], is_refused: bool) -> None:
    facts = replace(FACTS, claim=Claim("models", "uid-claim", ("ReadWriteOnce",)))
    service = SHARED.with_spec(**spec).build()
    if not is_refused:
        assert desired(service, None, facts, FOUND)
        return
    with pytest.raises(SpecError, match="ReadWriteOnce") as caught:
        desired(service, None, facts, FOUND)
    assert caught.value.reason is Reason.CACHE_CLAIM_NOT_SHARED


def test_running_pods_get_a_preflight_when_a_cache_is_asked_for() -> None:
    live = make_children(render_all(make_modelservice().build()))
    assert judge_source(make_modelservice().build(), None, FACTS, live, ()).is_open
    assert judge_source(NODE.build(), None, FACTS, live, ()).is_job_wanted


def test_cache_on_nodes_is_emptied_on_each_node_that_had_a_pod() -> None:
    assert len({job.name for job in collectors(NODE.build(), None, WITH_CLAIM, ["b", "a", "a"])}) == 2
    (shared,) = collectors(SHARED.build(), None, WITH_CLAIM, ["a", "b"])
    assert "affinity" not in shared.values["scheduling"]


@pytest.mark.parametrize("builder", [NODE.with_spec(deletionPolicy="RetainCache"), make_modelservice()])
def test_nothing_is_emptied_where_nothing_is_cached_or_everything_is_kept(builder: ModelServiceBuilder) -> None:
    assert collectors(builder.build(), None, WITH_CLAIM, ["a"]) == ()


def test_waiting_job_is_of_no_use_for_another_service_or_when_files_are_kept() -> None:
    (child,) = collectors(SHARED.build(), None, WITH_CLAIM, [])
    live = make_live(Renderer().render(child.template, child.values))
    keeping = SHARED.with_spec(deletionPolicy="RetainCache").build()
    assert not is_outdated(live, SHARED.build())
    assert is_outdated(live, keeping)
    later = SHARED.build()
    assert is_outdated(live, later.model_copy(update={"metadata": later.metadata.model_copy(update={"uid": "new"})}))
    released = let_go(live)
    assert released["spec"]["suspend"] is False
    assert released["spec"]["template"] == live["spec"]["template"]
    assert not is_outdated(make_live(released), keeping)
