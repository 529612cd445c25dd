"""How many replicas run, and how a new revision replaces the old one."""

import re
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import Field

from ..markers import Atomic, Cel, matches
from .block import Block
from .fields import IntOrPercent, OpenObject, Text

_AMOUNT: Final = "^([1-9][0-9]{0,3}%|[0-9]+([.][0-9]+)?(m|k|[KMGT]i?)?)$"
_NUMBER: Final = "^(0[.][0-9]*[1-9][0-9]*|[1-9][0-9]*([.][0-9]+)?)$"
_LABEL: Final = '[a-zA-Z]([a-zA-Z0-9_]*[a-zA-Z0-9])?="[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"'
_SERIES: Final = f"^[a-zA-Z_:][a-zA-Z0-9_:]*([{{]{_LABEL}(,{_LABEL})*[}}])?$"
_ZERO: Final = (0, "0%")


def read_series(query: str) -> tuple[str, dict[str, str]]:
    """Name and labels of a series, such as `inference_tokens_per_second{direction="completion"}`."""
    name, _, labels = query.rstrip("}").partition("{")
    pairs = (pair.partition("=") for pair in filter(None, labels.split(",")))
    return name, {key: text.strip('"') for key, _, text in pairs}


MetricTarget = Annotated[str, Field(min_length=1, max_length=32)]


class Metric(Block):
    """What the autoscaler measures."""

    RULES = (
        Cel(
            f"!(self.type in ['CPU', 'Memory']) || self.target.matches(r'{_AMOUNT}')",
            "must be a percentage of the request, such as 80%, or an amount for each pod, such as 500m or 8Gi",
            lambda metric: metric.type not in ("CPU", "Memory") or re.fullmatch(_AMOUNT, metric.target) is not None,
            field="target",
        ),
        Cel(
            f"self.type in ['CPU', 'Memory'] || self.target.matches(r'{_NUMBER}')",
            "must be a number above zero for each pod, such as 4 or 0.5",
            lambda metric: metric.type in ("CPU", "Memory") or re.fullmatch(_NUMBER, metric.target) is not None,
            field="target",
        ),
    )

    type: Literal["CPU", "Memory", "Concurrency", "QueueDepth", "Custom"]
    """CPU and Memory of the pods, Concurrency (running requests), QueueDepth (waiting requests) or Custom."""
    target: MetricTarget
    """Value that the autoscaler aims at: for CPU and Memory a percentage of the request (80%) or an amount for each pod
    (500m, 8Gi); otherwise a number for each pod."""
    query: Text = ""
    """What a Custom metric is. With HPA a metric of the pods: the name of a gauge of their /metrics, or the rate of a
    counter under the name X_per_second for X_total, with labels if need be, such as
    inference_tokens_per_second{direction="completion"}. With KEDA a PromQL query whose result is divided by the number
    of pods."""


def _is_series(metric: Metric) -> bool:
    return metric.type != "Custom" or re.fullmatch(_SERIES, metric.query) is not None


Cron = Annotated[
    str,
    Field(max_length=64),
    matches(
        "^[0-9A-Za-z*/,#-]+( [0-9A-Za-z*/,#-]+){4}$",
        "must be a cron expression of minute, hour, day, month and weekday, such as 0 8 * * 1-5",
    ),
]

TimeZone = Annotated[
    str,
    Field(max_length=64),
    matches("^([A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*)?$", "must be a time zone such as Europe/Berlin"),
]


class Schedule(Block):
    """A time of the week at which more replicas are kept."""

    start: Cron
    """When it begins, as a cron expression: minute, hour, day, month and weekday, such as 0 8 * * 1-5."""
    end: Cron
    """When it ends, as a cron expression."""
    timezone: TimeZone = ""
    """Time zone of both, such as Europe/Berlin; empty means UTC."""
    replicas: Annotated[int, Field(ge=1, le=1000)]
    """Fewest replicas meanwhile, where minReplicas and other schedules do not ask for more."""


class Idle(Block):
    """Scaling to zero when no requests come."""

    scale_to_zero_after_seconds: Annotated[int, Field(ge=1, le=604800)]
    """How long no request must have come, in seconds. Pods that still load the model are waited for, and rollouts."""


class Autoscaling(Block):
    """An autoscaler owns the number of replicas."""

    RULES = (
        Cel(
            "(has(self.backend) && self.backend == 'External') || has(self.maxReplicas)",
            "set it to the most replicas that the autoscaler may start",
            lambda block: block.backend == "External" or block.has("maxReplicas"),
            field="maxReplicas",
            reason="FieldValueRequired",
        ),
        Cel(
            "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "must not be above maxReplicas; lower it or raise spec.autoscaling.maxReplicas",
            lambda block: (
                not block.has("minReplicas") or not block.has("maxReplicas") or block.min_replicas <= block.max_replicas
            ),
            field="minReplicas",
        ),
        Cel(
            "!has(self.minReplicas) || self.minReplicas > 0 || has(self.idle)"
            " || (has(self.backend) && self.backend == 'KEDA')",
            "0 needs spec.autoscaling.idle or backend: KEDA; set it to 1 or more",
            lambda block: block.min_replicas > 0 or block.has("idle") or block.backend == "KEDA",
            field="minReplicas",
        ),
        Cel(
            "!has(self.backend) || self.backend != 'KEDA' || !has(self.minReplicas) || self.minReplicas > 0"
            " || (has(self.metrics) && self.metrics.exists(m, m.type == 'Custom'))",
            "0 needs a metric that tells of requests while no pod runs; add one of type Custom, with a query, for "
            "example of the gateway's requests, or set it to 1 or more",
            lambda block: (
                block.backend != "KEDA" or block.min_replicas > 0 or any(m.type == "Custom" for m in block.metrics)
            ),
            field="minReplicas",
        ),
        Cel(
            "!has(self.backend) || self.backend != 'KEDA' || !has(self.metrics)"
            " || self.metrics.all(m, m.type != 'Custom' || has(m.query) && m.query != '')",
            "the type Custom needs a query in PromQL; set it",
            lambda block: block.backend != "KEDA" or all(m.type != "Custom" or m.query for m in block.metrics),
            field="metrics",
            reason="FieldValueRequired",
        ),
        Cel(
            "!has(self.idle) || !has(self.backend) || self.backend == 'HPA'",
            "needs backend: HPA, since KEDA and External decide themselves when there is no replica; remove idle, or "
            "use backend: HPA",
            lambda block: not block.has("idle") or block.backend == "HPA",
            field="idle",
        ),
        Cel(
            "!has(self.schedules) || size(self.schedules) == 0 || !has(self.backend) || self.backend != 'External'",
            "External leaves the number of replicas to the scaler that writes the scale subresource; remove schedules, "
            "or use backend: HPA",
            lambda block: block.backend != "External" or not block.schedules,
            field="schedules",
        ),
        Cel(
            "!has(self.schedules) || !has(self.maxReplicas) || self.schedules.all(s, s.replicas <= self.maxReplicas)",
            "must not keep more replicas than maxReplicas; lower them or raise spec.autoscaling.maxReplicas",
            lambda block: (
                not block.has("maxReplicas") or all(each.replicas <= block.max_replicas for each in block.schedules)
            ),
            field="schedules",
        ),
        Cel(
            "has(self.backend) && self.backend != 'HPA' || !has(self.metrics)"
            f" || self.metrics.all(m, m.type != 'Custom' || has(m.query) && m.query.matches(r'{_SERIES}'))",
            "the type Custom needs the name of a metric of the pods as its query, if need be with labels, such as "
            'inference_tokens_per_second{direction="completion"}; for PromQL use backend: KEDA',
            lambda block: block.backend != "HPA" or all(map(_is_series, block.metrics)),
            field="metrics",
        ),
        Cel(
            "!has(self.backend) || self.backend != 'External' || !(has(self.minReplicas) || has(self.maxReplicas)"
            " || has(self.metrics) || has(self.behavior))",
            "External leaves bounds, metrics and behavior to the scaler that writes the scale subresource; remove "
            "minReplicas, maxReplicas, metrics and behavior, or use backend: HPA",
            lambda block: (
                block.backend != "External"
                or not any(block.has(field) for field in ("minReplicas", "maxReplicas", "metrics", "behavior"))
            ),
            field="backend",
        ),
    )

    min_replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Fewest replicas; with idle, fewest while requests come."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Most replicas; needed unless backend is External."""
    backend: Literal["HPA", "KEDA", "External"] = "HPA"
    """Who scales: HPA makes a HorizontalPodAutoscaler, whose metrics other than CPU and Memory come from the
    chart's metricsAdapter; KEDA makes a ScaledObject, whose metrics other than CPU and Memory come from the Prometheus
    that the operator is told of and that scrapes the pods (spec.observability); External leaves spec.replicas, which
    must then be set to begin with, to a scaler of yours that uses the scale subresource."""
    metrics: Annotated[list[Metric], Field(max_length=8), Atomic()] = Field(default_factory=list)
    """What is measured; empty means CPU at 80%."""
    behavior: OpenObject = Field(default_factory=dict)
    """Speed of scaling up and down, as in a HorizontalPodAutoscaler."""
    schedules: Annotated[list[Schedule], Field(max_length=16), Atomic()] = Field(default_factory=list)
    """Times of the week at which more replicas are kept than minReplicas."""
    idle: Idle | None = None
    """Scaling to zero when no requests come, except while a schedule is on. The next request starts a pod where the
    chart's activator is installed, which holds requests until a pod answers."""


class CanaryStep(Block):
    """A share that a canary has for a time."""

    weight: Annotated[int, Field(ge=1, le=99)]
    """Share of the requests in percent."""
    pause_seconds: Annotated[int, Field(ge=1, le=604800)]
    """How long the canary has to do well with it, in seconds, from when every replica of it answers."""


class Canary(Block):
    """A share of the requests goes to the new revision first."""

    RULES = (
        Cel(
            "!has(self.weight) || !has(self.steps) || size(self.steps) == 0",
            "steps have their own weights; remove spec.rollout.canary.weight or spec.rollout.canary.steps",
            lambda block: not block.has("weight") or not block.steps,
            field="weight",
            reason="FieldValueForbidden",
        ),
        Cel(
            "!has(self.steps) || [1, 2, 3, 4, 5, 6, 7, 8, 9].all(i,"
            " i >= size(self.steps) || self.steps[i - 1].weight < self.steps[i].weight)",
            "weights must rise from step to step; put them in order, or take a step out",
            lambda block: all(a.weight < b.weight for a, b in pairwise(block.steps)),
            field="steps",
        ),
    )

    weight: Annotated[int, Field(ge=1, le=100)] = 10
    """Share of the requests in percent: exact with spec.network.httpRoute, else as fine as the replicas allow. 100
    rolls the new revision out and ends the canary; left out means 10."""
    steps: Annotated[list[CanaryStep], Field(max_length=10), Atomic()] = Field(default_factory=list)
    """Shares that follow one another by themselves, each when the canary has done well with the one before: all of it
    ready for the step's time, no server started again, not more requests failed than by the revision that served. After
    the last one the new revision is rolled out."""


class Verification(Block):
    """A request that a new revision must answer before it serves."""

    path: Annotated[
        str,
        Field(min_length=1, max_length=1024),
        matches("^/[!-~]*$", "must be the path of a request, such as /v1/completions"),
    ]
    """Path of the request, such as /v1/completions."""
    body: Annotated[str, Field(max_length=16384)] = ""
    """JSON body of the request; empty means a GET without one."""
    expect: Text = ""
    """Text that the answer must contain; empty means that any answer but an error will do."""
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """How long the answer may take, in seconds."""


class Rollout(Block):
    """How a new revision replaces the old one."""

    RULES = (
        Cel(
            "!has(self.maxSurge) || !has(self.maxUnavailable)"
            " || !(self.maxSurge in [dyn(0), dyn('0%')] && self.maxUnavailable in [dyn(0), dyn('0%')])",
            "cannot be zero together with maxUnavailable; set one of them to 1 or more",
            lambda block: not (block.max_surge in _ZERO and block.max_unavailable in _ZERO),
            field="maxSurge",
        ),
        Cel(
            "!has(self.strategy) || self.strategy != 'Recreate' || !(has(self.maxSurge) || has(self.maxUnavailable))",
            "Recreate stops the old revision first; remove maxSurge and maxUnavailable, or use Auto or RollingUpdate",
            lambda block: block.strategy != "Recreate" or not (block.has("maxSurge") or block.has("maxUnavailable")),
            field="strategy",
        ),
        Cel(
            "!has(self.canary) || (has(self.strategy) && self.strategy == 'Canary')",
            "needs strategy: Canary; set spec.rollout.strategy or remove spec.rollout.canary",
            lambda block: not block.has("canary") or block.strategy == "Canary",
            field="canary",
        ),
    )

    strategy: Literal["Auto", "RollingUpdate", "Recreate", "Canary"] = "Auto"
    """RollingUpdate keeps serving, Recreate stops the old revision first; Auto adds a pod before it takes one away, and
    where the accelerators do not suffice for that it replaces one pod at a time. Canary serves the new revision beside
    the last one that served, until its weight is 100 or its last step is over."""
    max_surge: IntOrPercent | None = None
    """How many replicas, or what percentage, may run above the wanted number meanwhile."""
    max_unavailable: IntOrPercent | None = None
    """How many replicas, or what percentage, may be missing meanwhile."""
    progress_deadline_seconds: Annotated[int, Field(ge=1, le=86400)] = 1800
    """How long a new revision may take before Progressing turns False, in seconds."""
    auto_rollback: bool = False
    """Whether a revision that does not answer the golden request, or is not ready within progressDeadlineSeconds, is
    replaced by the last one that served. It is tried again when the spec asks for other pods."""
    canary: Canary | None = None
    """A share of the requests goes to the new revision first; 10% where none is given."""
    verification: Verification | None = None
    """A request that a new revision must answer before it serves."""
