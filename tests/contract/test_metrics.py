"""Alerts and dashboards ask for metrics that the runtime has, with labels that they carry."""

import json
import re

from modelservice_operator.domain import desired
from modelservice_runtime.engine.scheduling import Stats
from modelservice_runtime.observability.metrics import Metrics
from tests.support.builders import FACTS, make_modelservice

BLOCKS = {"prometheusRule": {}, "dashboard": {}}


def _exposed() -> str:
    metrics = Metrics("chat")
    metrics.observe_live(lambda: Stats(running=0, queued=0, kv_usage=0.0), lambda: 0.0)
    assert metrics.live is not None
    metrics.live.gpu_memory = lambda: {"cuda:0": {"total": 1}}
    families = metrics.registry.collect()
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return " ".join(f"{family.name}{end}" for family in families for end in suffixes.get(family.type, ("",)))


def test_every_metric_that_is_asked_for_exists() -> None:
    service = make_modelservice().with_gpu(1).with_spec(observability=BLOCKS).build()
    asked = json.dumps([dict(child.values) for child in desired(service, None, FACTS)], default=str)
    names = set(re.findall(r"inference_[a-z_]+", asked))
    assert len(names) > 10
    assert names <= set(_exposed().split())
