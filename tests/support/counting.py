"""Metrics whose counters are fed without a database: calls are taken as if they had just been committed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from llmtoken.call import Call
from llmtoken.metrics import Metrics
from llmtoken.metrics.detail import Detail
from llmtoken.totals import NOTHING, Labels, Sums, plus, total

BEGAN = datetime(2026, 1, 2, tzinfo=UTC)
"""When the counters stood at 0."""


class Counting(Metrics):
    """What the audit does for the counters, done here: `record` keeps the totals as well."""

    def __init__(
        self,
        *,
        max_models: int = 200,
        max_consumers: int = 200,
        detail: Detail = "full",
        totals: Mapping[Labels, Sums] | None = None,
    ) -> None:
        super().__init__(max_models=max_models, max_consumers=max_consumers, instance="test", detail=detail)
        self.totals = dict(totals or {})
        self.losses: dict[tuple[str, str], int] = {}
        self.show(lambda: self.totals, began=BEGAN)
        self.show_losses(lambda: self.losses)

    @property
    def registry(self) -> CollectorRegistry:
        """What prometheus_client can write, through OpenTelemetry's exporter."""
        return self._exposition.reader.registry

    def record(self, calls: Sequence[Call]) -> None:
        for call in calls:
            labels = self.labels(call)
            self.totals[labels] = plus(self.totals.get(labels, NOTHING), total([call]))
        super().record(calls)
