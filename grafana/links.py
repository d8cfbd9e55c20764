"""Where a click leads: to the calls behind what is shown, and to the dashboard that says what is wrong.

Owns the addresses. Must not know what any panel shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as builders

from grafana.promql import CONSUMER, MODEL

ASKED = {MODEL: "model", CONSUMER: "consumer", "error_type": "error"}
"""Labels that the collector's list of calls can be asked for, by the names that it has for them."""


def calls(title: str, **asked: str) -> builders.DashboardLink:
    """A link to the collector's list of the calls of the chosen time that are so."""
    time = "since=${__from:date:iso}&until=${__to:date:iso}"
    more = "".join(f"&{name}={value}" for name, value in asked.items())
    return builders.DashboardLink(title).url(f"${{collector}}/api/calls?{time}{more}").target_blank(True)


def calls_of_series(legends: Sequence[str]) -> list[builders.DashboardLink]:
    """Links from a series to its calls, as far as its labels say which they are."""
    labels = [label for label in ASKED if any(f"{{{{{label}}}}}" in legend for legend in legends)]
    asked = {ASKED[label]: f"${{__field.labels.{label}:percentencode}}" for label in labels}
    title = f"Calls of this {' and '.join(asked)}" if asked else "Calls of this time"
    return [calls(title, **asked)]


def health_link() -> builders.DashboardLink:
    """To the dashboard that says what is wrong with the meter."""
    return builders.DashboardLink("Health of the meter").url(
        "/d/llmtoken-health?${__url_time_range}&${__all_variables}"
    )
