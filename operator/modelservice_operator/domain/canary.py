"""A canary: a second Deployment with the pods of the new revision, while the first one keeps what served before.

With an HTTPRoute the gateway shares the requests out by weight, between a Service for each revision, once the new one
answers. Without one the Service sends requests to all pods alike, so the replicas are shared out by weight instead, and
the share is only as fine as they allow. A weight of 100, or the end of the last step, rolls the new revision out and
ends the canary.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..api.kinds import DEPLOYMENT, HTTP_ROUTE, SERVICE
from ..api.names import CANARY, CANARY_STAGE, REVISION, STABLE, TRACK, selector_labels, track_name
from .notes import annotated
from .pods import revision_of
from .promotion import Stage, next_stage, weight_of
from .revisions import choose_revision, taken_back
from .room import make_room
from .world import World

Manifest = Mapping[str, Any]


def settle_revisions(wanted: Sequence[Manifest], world: World) -> list[Manifest]:
    """The children with the pods that should run now, and with those of a canary while there is one."""
    asked = next((manifest for manifest in wanted if manifest["kind"] == DEPLOYMENT.kind), None)
    if asked is None:
        return list(wanted)
    chosen = make_room(choose_revision(asked, world), world)
    if not _is_tried(asked, chosen, world):
        return [chosen if manifest is asked else manifest for manifest in wanted]
    stage = next_stage(world, revision_of(asked["spec"]["template"]))
    weight = weight_of(world.service, stage)
    tried = _marked(asked, stage)
    route = next((manifest for manifest in wanted if manifest["kind"] == HTTP_ROUTE.kind), None)
    front = next(manifest for manifest in wanted if manifest["kind"] == SERVICE.kind)
    if route is None:
        replicas = max(1, round(_share(world, weight)))
        stable = _without_replicas(chosen, 0 if world.is_autoscaled else replicas)
        return [*(stable if each is asked else each for each in wanted), _canary(tried, replicas, world)]
    changed = {id(asked): chosen, id(route): _weighted(route, world, weight) if world.canary_serving else route}
    tracks = {CANARY: asked, STABLE: chosen}
    return [
        *(changed.get(id(manifest), manifest) for manifest in wanted),
        _canary(tried, math.ceil(_share(world, weight)), world),
        *(_front(front, track, revision_of(body["spec"]["template"]), world) for track, body in tracks.items()),
    ]


def _is_tried(asked: Manifest, chosen: Manifest, world: World) -> bool:
    """Whether the new revision runs beside the old one."""
    is_same = revision_of(asked["spec"]["template"]) == revision_of(chosen["spec"]["template"])
    return not is_same and taken_back(chosen) is None and world.wanted > 0


def _marked(asked: Manifest, stage: Stage | None) -> Manifest:
    """The Deployment of a canary with the stage that it is at."""
    if stage is None:
        return asked
    return annotated(asked, {CANARY_STAGE: stage.mark()})


def _share(world: World, weight: int) -> float:
    """The canary's part of the replicas.

    An autoscaler counts those of the first Deployment only, so they come on top, at most as many as it may start.
    """
    scaling = world.service.spec.autoscaling
    if scaling is None:
        return world.wanted * weight / 100
    return min(world.wanted * weight / (100 - weight), scaling.max_replicas or math.inf)


def _without_replicas(chosen: Manifest, replicas: int) -> Manifest:
    """The first Deployment without the replicas that the canary has; one is left."""
    if not replicas:
        return chosen
    return {**chosen, "spec": {**chosen["spec"], "replicas": max(1, chosen["spec"]["replicas"] - replicas)}}


def _canary(asked: Manifest, replicas: int, world: World) -> Manifest:
    name, track = world.service.metadata.name, {TRACK: CANARY}
    template = asked["spec"]["template"]
    labels = {**template["metadata"]["labels"], **track}
    spec = {
        **asked["spec"],
        "replicas": replicas,
        "selector": {"matchLabels": {**selector_labels(name), **track}},
        "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
    }
    return {**asked, "metadata": {**asked["metadata"], "name": track_name(name, CANARY)}, "spec": spec}


def _front(front: Manifest, track: str, revision: str, world: World) -> Manifest:
    """A Service for the pods of one revision, with the port for requests only, so that no metric is read twice."""
    name = world.service.metadata.name
    selector = {**selector_labels(name), REVISION: revision}
    ports = [port for port in front["spec"]["ports"] if port["name"] == "http"]
    metadata = {**front["metadata"], "name": track_name(name, track), "annotations": {}}
    return {**front, "metadata": metadata, "spec": {"type": "ClusterIP", "selector": selector, "ports": ports}}


def _weighted(route: Manifest, world: World, weight: int) -> Manifest:
    name = world.service.metadata.name
    shares = {STABLE: 100 - weight, CANARY: weight}
    port = world.service.spec.network.service.port
    backends = [{"name": track_name(name, track), "port": port, "weight": share} for track, share in shares.items()]
    return {**route, "spec": {**route["spec"], "rules": [{"backendRefs": backends}]}}
