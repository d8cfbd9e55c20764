"""The variables at the top of each dashboard: what to look at, and the numbers that only its reader knows.

Must not know what any panel shows.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models

from grafana.promql import CONSUMER, MODEL, PROVIDER

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

Variable = (
    builders.DatasourceVariable | builders.QueryVariable | builders.CustomVariable | builders.TextBoxVariable
)  # fmt: skip


def common() -> list[Variable]:
    """What every dashboard has, so that links between them keep what was chosen."""
    requests = "llmtoken_requests_total"
    by_provider = f'{PROVIDER}=~"$provider"'
    tokens = f'gen_ai_client_inference_usage_input_tokens_total{{{by_provider}, {MODEL}=~"$model"}}'
    return [
        builders.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _names("provider", "Provider", f"label_values({requests}, {PROVIDER})"),
        _names("model", "Model", f"label_values({requests}{{{by_provider}}}, {MODEL})"),
        _names("consumer", "Consumer", f"label_values({tokens}, {CONSUMER})"),
        one_of("rate_interval", "Rate interval", ["15s", "1m", "5m", "15m", "1h", "1d"], "1m").description(
            "The least that a point of a graph covers. Longer than the scrape interval; long when calls are few."
        ),
        typed("collector", "Collector", "http://127.0.0.1:8000").description(
            "Address of the collector, for the links to its calls. A browser sends no token, so they work with a "
            "collector on this machine that has none; for another see llmtoken audit browse."
        ),
    ]


def one_of(name: str, label: str, values: list[str], default: str) -> builders.CustomVariable:
    """A choice of one among a few values."""
    options = [models.VariableOption(selected=value == default, text=value, value=value) for value in values]
    variable = builders.CustomVariable(name).label(label).values(",".join(values)).options(options)
    return variable.current(models.VariableOption(selected=True, text=default, value=default))


def typed(name: str, label: str, default: str) -> builders.TextBoxVariable:
    """Whatever the reader types."""
    option = models.VariableOption(selected=True, text=default, value=default)
    return builders.TextBoxVariable(name).label(label).default_value(default).current(option).options([option])


def _names(name: str, label: str, query: str) -> builders.QueryVariable:
    """Some of the names that there are; all of them stands for anything, also for none."""
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )
