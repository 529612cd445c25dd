"""Metrics whose values are read from the engine when they are asked for, and their names in vLLM.

Gateways and autoscalers of inference servers read vLLM's gauges; with the aliases, stock configurations work. A slot
cache has no blocks: it counts as blocks of one token. Adapters are in memory all the time, so all of them are told as
running: a request for any costs no loading.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelservice_runtime.engine.scheduling import Stats

PREFIXES = {"queries": "looked up in the prefix cache", "hits": "found there, and not computed again"}
GENERATIVE = frozenset(
    (
        "chat",
        "text-generation",
        "text2text-generation",
        "summarization",
        "translation",
        "image-text-to-text",
        "image-to-text",
    )
)


class Live(Collector):
    """Gauges of this moment. `name` tells (model, task); `cache_tokens` is what the KV cache may hold."""

    def __init__(
        self,
        name: Callable[[], tuple[str, str]],
        stats: Callable[[], Stats],
        heartbeat_age: Callable[[], float],
        *,
        vllm: bool,
        adapters: Sequence[str] = (),
    ) -> None:
        self._name = name
        self._stats = stats
        self._heartbeat_age = heartbeat_age
        self._vllm = vllm
        self._adapters = adapters
        self.cache_tokens = 0
        self.gpu_memory: Callable[[], Mapping[str, Mapping[str, int]]] = dict

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        stats = self._stats()
        model, task = self._name()
        both = {"model": model, "task": task}
        yield _gauge("inference_requests_running", "Items being computed", both, stats.running)
        yield _gauge("inference_requests_queued", "Items waiting", both, stats.queued)
        yield _gauge("inference_kv_cache_usage_ratio", "Used share of the KV cache", {"model": model}, stats.kv_usage)
        yield _gauge("inference_worker_heartbeat_age_seconds", "Age of the last step", {}, self._heartbeat_age())
        for what, tokens in _prefixes(stats):
            name = f"inference_prefix_cache_{what}_tokens"
            yield _counter(name, f"Tokens of prompts: {PREFIXES[what]}", {"model": model}, tokens)
        yield from self._memory()
        if self._vllm and task in GENERATIVE:
            yield from self._aliases({"model_name": model}, stats)

    def _memory(self) -> Iterable[Metric]:
        memory = self.gpu_memory()
        if memory:
            family = GaugeMetricFamily("inference_gpu_memory_bytes", "Memory of the device", labels=("device", "kind"))
            for device, kinds in memory.items():
                for kind, size in kinds.items():
                    family.add_metric((device, kind), size)
            yield family

    def _aliases(self, label: dict[str, str], stats: Stats) -> Iterable[Metric]:
        yield _gauge("vllm:num_requests_running", "Same as inference_requests_running", label, stats.running)
        yield _gauge("vllm:num_requests_waiting", "Same as inference_requests_queued", label, stats.queued)
        yield _gauge("vllm:kv_cache_usage_perc", "Same as inference_kv_cache_usage_ratio", label, stats.kv_usage)
        for what, tokens in _prefixes(stats):
            same = f"Same as inference_prefix_cache_{what}_tokens"
            yield _counter(f"vllm:prefix_cache_{what}", same, label, tokens)
        blocks = {"block_size": "1", "num_gpu_blocks": str(self.cache_tokens)}
        yield _gauge("vllm:cache_config_info", "The KV cache: blocks of one token", {**label, **blocks}, 1)
        if self._adapters:
            names = {"running_lora_adapters": ",".join(self._adapters), "waiting_lora_adapters": ""}
            loaded = {**names, "max_lora": str(len(self._adapters))}
            yield _gauge("vllm:lora_requests_info", "The adapters that are loaded", loaded, time.time())


def _prefixes(stats: Stats) -> Sequence[tuple[str, int]]:
    """Return the counts of the prefix cache by name; none where there is no such cache."""
    counts = stats.prefixes
    return (("queries", counts.queries), ("hits", counts.hits)) if counts else ()


def _counter(name: str, documentation: str, labels: dict[str, str], value: float) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=tuple(labels))
    family.add_metric(tuple(labels.values()), value)
    return family


def _gauge(name: str, documentation: str, labels: dict[str, str], value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=tuple(labels))
    family.add_metric(tuple(labels.values()), value)
    return family
