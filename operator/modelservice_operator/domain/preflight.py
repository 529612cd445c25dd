"""Preflight: pods of a model are made only when a Job without accelerators has looked at the model.

Looked at is what the fetch container would bring. A model on a claim is not: mounting it in a Job could bind the claim
to a node where no accelerator is. Neither is one in an image, which a Job would have to pull whole.

What was found is kept by a digest of what was asked for, so a Job runs once for each source. A failing Job goes on by
the kubelet's own back-off, and every change of the spec, or of the annotation on the ModelService, makes a new one at
once. Until the gate opens the Deployment stays as it is, so a mistake in the address never stops what serves. A service
whose pods were made without a preflight keeps them until its source changes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..api import kinds, names
from ..api.uri import ModelUri
from ..api.v1alpha1 import ModelService, RuntimeProfile
from .cache import uses_cache
from .collector import is_collector
from .diagnose import Diagnosis, diagnose, read_last_word
from .facts import Facts
from .fit import misfit
from .inspection import Inspection, recorded
from .plan import ChildKey
from .pods import container_status
from .preflight_job import PreflightJob, preflight_job
from .rollout import wanted_replicas
from .source import PARALLEL_FLAG, source_of
from .tree import Tree, branch, items, number, text

SKIP: Final = "skip"
"""Value of the annotation on a ModelService that does without a preflight."""

UNSEEN: Final = "{}"
"""Annotation of a Deployment without replicas whose source was not looked at, so that its pods do not count as old."""

JOB_NAME: Final = "batch.kubernetes.io/job-name"
"""Label that the Job controller gives the pods of one Job."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether pods of the model may be made, and what is known of it.

    `job` is to exist while it is `wanted`; afterwards it is left to end by itself. `mark` is the annotation of the
    Deployment. `failure` is what keeps the gate closed, with the pod that told it.
    """

    is_open: bool = True
    found: Inspection | None = None
    job: PreflightJob | None = None
    is_job_wanted: bool = False
    mark: str = ""
    failure: tuple[Tree, Diagnosis] | None = None


OPEN: Final = Gate()


def judge_source(
    service: ModelService,
    profile: RuntimeProfile | None,
    facts: Facts,
    children: Mapping[ChildKey, Tree],
    pods: Sequence[Tree],
) -> Gate:
    """Decide whether the pods may be made. `pods` are those of preflights. Raises SpecError as `desired` does."""
    if not is_inspected(service):
        return OPEN
    name, source = service.metadata.name, source_digest(service)
    deployment = children.get((kinds.DEPLOYMENT.kind, names.child_name(kinds.DEPLOYMENT.kind, name)), {})
    found = recorded(source, service.status, deployment)
    if found is not None and found.unknown_architecture and _is_new_generation(service):
        found = None
    if found is None and _is_adopted(service, deployment):
        return OPEN
    if found is None and wanted_replicas(service) == 0:
        return Gate(mark=UNSEEN)
    has_jobs = any(kind == kinds.JOB.kind and not is_collector(body) for (kind, _), body in children.items())
    job = preflight_job(service, profile, facts) if found is None or has_jobs else None
    if found is None and job is not None:
        pod = _pod_of(job, pods)
        found = _result_of(pod, source)
        if found is None:
            trouble = diagnose(pod)
            return Gate(False, job=job, is_job_wanted=True, failure=(pod, trouble) if trouble else None)
    return _judge_found(service, profile, found or Inspection(source), job)


def _judge_found(
    service: ModelService, profile: RuntimeProfile | None, found: Inspection, job: PreflightJob | None
) -> Gate:
    problem = misfit(service, profile, found)
    if problem is not None and wanted_replicas(service) != 0:
        return Gate(False, found, job, failure=({}, problem))
    return Gate(True, found, job, mark=json.dumps(found.report(), sort_keys=True, separators=(",", ":")))


def kept_children(service: ModelService, gate: Gate, children: Mapping[ChildKey, Tree]) -> frozenset[ChildKey]:
    """Children that are not desired and stay: what serves while the gate is closed, and a Job that was of use."""
    name = service.metadata.name
    kept = [] if gate.is_open else [(kind.kind, names.child_name(kind.kind, name)) for kind in HELD]
    if gate.job is not None and not gate.is_job_wanted:
        kept.append((kinds.JOB.kind, gate.job.name))
    return frozenset(key for key in kept if key in children)


HELD: Final = (kinds.DEPLOYMENT, kinds.HORIZONTAL_POD_AUTOSCALER, kinds.SCALED_OBJECT)
"""Kinds that wait for the gate."""


def is_inspected(service: ModelService) -> bool:
    """Whether the model is looked at before pods are made."""
    is_remote = ModelUri.parse(service.spec.model.uri).is_remote
    return is_remote and service.metadata.annotations.get(names.PREFLIGHT) != SKIP


def source_digest(service: ModelService) -> str:
    """What identifies the source: the address, the revision, the files, the Secret, and the annotation."""
    model = service.spec.model
    asked: list[Any] = [
        model.uri,
        model.revision,
        [model.files.include, model.files.exclude] if model.files else [],
        model.secret_ref.name if model.secret_ref else "",
        service.metadata.annotations.get(names.PREFLIGHT, ""),
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def _is_new_generation(service: ModelService) -> bool:
    """Whether the spec has changed, and with it perhaps the image that did not know the architecture."""
    return number(service.status, "observedGeneration") != service.metadata.generation


def _is_adopted(service: ModelService, deployment: Tree) -> bool:
    """Whether pods of this very source are there that were made without a preflight, which a cache always needs."""
    marks = branch(deployment, "metadata", "annotations")
    is_new = names.PREFLIGHT in marks or service.metadata.annotations.get(names.PREFLIGHT) or uses_cache(service)
    if not deployment or is_new:
        return False
    pod = branch(deployment, "spec", "template", "spec")
    fetches = (entry for entry in items(pod, "initContainers") if text(entry, "name") == names.FETCH_CONTAINER)
    args = (arg for arg in next(fetches, {}).get("args") or () if not str(arg).startswith(PARALLEL_FLAG))
    return tuple(args) == source_of(service, "").fetch_args


def _pod_of(job: PreflightJob, pods: Sequence[Tree]) -> Tree:
    """The newest pod of a Job."""
    mine = [pod for pod in pods if text(branch(pod, "metadata", "labels"), JOB_NAME) == job.name]
    return max(mine, key=lambda pod: text(pod, "metadata", "creationTimestamp"), default={})


def _result_of(pod: Tree, source: str) -> Inspection | None:
    ended = branch(container_status(pod, names.PREFLIGHT_CONTAINER), "state", "terminated")
    word = read_last_word(text(ended, "message")) if ended and number(ended, "exitCode") == 0 else None
    return Inspection.read(source, word.result) if word else None
