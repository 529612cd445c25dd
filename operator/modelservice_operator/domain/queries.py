"""The PromQL of one ModelService, which its alerts and its dashboard share.

Metrics are those of the server, as Prometheus has them after a ServiceMonitor of the operator's: with the labels
`namespace` and `service`. Restarts of containers are those of kube-state-metrics, which every installation of the
Prometheus operator's charts has; without it that one alert stays silent.
"""

from dataclasses import dataclass

from .engine_metrics import MetricNames


@dataclass(frozen=True, slots=True)
class Queries:
    """Expressions over the series of one service, whose server gives them these names."""

    namespace: str
    service: str
    names: MetricNames

    def series(self, name: str, *matchers: str) -> str:
        """The selector of a metric of the server."""
        own = (f'namespace="{self.namespace}"', f'service="{self.service}"')
        return f"{name}{{{','.join((*own, *matchers))}}}"

    def total(self, name: str, window: str, *matchers: str) -> str:
        """The rate of a counter, over all pods."""
        return f"sum(rate({self.series(name, *matchers)}[{window}]))"

    def quantile(self, share: float, name: str, window: str) -> str:
        """A quantile of a histogram, over all pods."""
        return f"histogram_quantile({share}, sum by (le) (rate({self.series(f'{name}_bucket')}[{window}])))"

    def ready(self) -> str:
        """How many pods answer; nothing at all while no pod has ever been seen."""
        return f"sum({self.series(self.names.ready)})"

    def error_ratio(self, window: str) -> str:
        """The share of calls that the server failed."""
        failed, all_ = (self.total(self.names.calls, window, *m) for m in (('code=~"5.."',), ()))
        return f"({failed} / {all_})"

    def restarts(self, window: str) -> str:
        """Restarts of the containers of each pod."""
        pods = f'namespace="{self.namespace}",pod=~"{self.service}-[a-z0-9]+-[a-z0-9]{{5}}"'
        return f"increase(kube_pod_container_status_restarts_total{{{pods}}}[{window}])"
