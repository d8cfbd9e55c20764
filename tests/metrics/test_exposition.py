"""What a scrape gets."""

import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator

import pytest
from prometheus_client import Metric, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from llmtoken.ledger import DROPPED, FAILED
from llmtoken.metrics.instruments import INSTRUMENTS
from support.calls import call
from support.counting import Counting
from support.exposition import GOLDEN, WATCHED, example, filled
from support.needs import program

OPENMETRICS = "application/openmetrics-text"


@pytest.fixture
def metrics() -> Iterator[Counting]:
    metrics = Counting()
    yield metrics
    metrics.close()


def test_the_exposition_is_the_golden_one() -> None:
    assert example() == GOLDEN.read_text("utf-8")


def test_promtool_finds_nothing_to_complain_about() -> None:
    promtool = program("promtool", "install Prometheus")
    check = subprocess.run([promtool, "check", "metrics"], input=example(), capture_output=True, text=True, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_every_instrument_is_shown_under_the_name_it_declares() -> None:
    kinds = {family.name: family.type for family in parse_classic(example())}
    declared = {item.prometheus.removesuffix("_total"): item.kind for item in INSTRUMENTS}
    assert kinds == declared | {"target_info": "gauge"}


def samples(families: Iterable[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every value by its name and labels; an empty label is none."""
    return {
        (sample.name, frozenset((name, value) for name, value in sample.labels.items() if value)): sample.value
        for family in families
        for sample in family.samples
    }


def test_openmetrics_says_the_same_as_the_classic_text() -> None:
    assert samples(parse_openmetrics(example(OPENMETRICS))) == samples(parse_classic(example()))


def test_the_text_says_what_opentelemetrys_exporter_says_through_prometheus_client() -> None:
    with filled() as metrics:
        ours, theirs = metrics.exposition(None)[0], generate_latest(metrics.registry)
    assert samples(parse_classic(ours.decode())) == samples(parse_classic(theirs.decode()))


@pytest.mark.parametrize(
    "accept",
    [
        OPENMETRICS,
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5",
        "text/plain, Application/OpenMetrics-Text; q=0.5",
    ],
)
def test_openmetrics_is_given_when_it_is_asked_for(metrics: Counting, accept: str) -> None:
    text, media_type = metrics.exposition(accept)
    assert media_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accept",
    [None, "", "*/*", "text/html", "text/plain;version=x", "application/openmetrics-text;q=0", ";;,=,;q", "\ufffd"],
)
def test_everything_else_gets_classic_text(metrics: Counting, accept: str | None) -> None:
    text, media_type = metrics.exposition(accept)
    assert media_type == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# EOF" not in text


def test_what_may_never_happen_is_shown_from_the_start(metrics: Counting) -> None:
    text = metrics.exposition(None)[0].decode()
    for series in (
        'llmtoken_reports_total{llmtoken_report_outcome="accepted"} 0.0',
        'llmtoken_reports_total{llmtoken_report_outcome="duplicate"} 0.0',
        'llmtoken_reports_total{llmtoken_report_outcome="rejected"} 0.0',
        *(f'llmtoken_plugin_dropped_total{{reason="{reason}"}} 0.0' for reason in DROPPED),
        *(f'llmtoken_plugin_failed_total{{reason="{reason}"}} 0.0' for reason in FAILED),
        "llmtoken_plugin_missing_reports_total 0.0",
        "llmtoken_plugin_late_reports_total 0.0",
        'llmtoken_overflow_total{llmtoken_dimension="model"} 0.0',
        'llmtoken_overflow_total{llmtoken_dimension="consumer"} 0.0',
        "llmtoken_commit_rows_total 0.0",
        "llmtoken_otlp_failures_total 0.0",
        "llmtoken_queue_refusals_total 0.0",
    ):
        assert f"\n{series}\n" in text


def test_recording_goes_on_while_a_scrape_hangs(metrics: Counting) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow_disk() -> int:
        entered.set()
        leave.wait(10)
        return 7

    metrics.watch(**WATCHED | {"database_bytes": slow_disk})
    shown: list[str] = []
    scrape = threading.Thread(target=lambda: shown.append(metrics.exposition(None)[0].decode()))
    scrape.start()
    assert entered.wait(10)
    metrics.record([call()])
    metrics.committed(0.01, 1)
    assert scrape.is_alive()
    leave.set()
    scrape.join(10)
    assert "llmtoken_database_bytes 7.0" in shown[0]


def test_a_number_that_cannot_be_read_is_left_out_and_the_rest_is_shown(
    metrics: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    def gone() -> int:
        raise OSError

    metrics.watch(**WATCHED | {"queue_bytes": gone})
    text = metrics.exposition(None)[0].decode()
    assert "llmtoken_queue_reports 3.0" in text
    assert "llmtoken_queue_bytes " not in text
    assert "llmtoken_database_bytes 1048576.0" in text
    assert "Callback failed for instrument llmtoken.queue.bytes" in caplog.text


def test_a_size_that_nobody_knows_is_left_out(metrics: Counting, caplog: pytest.LogCaptureFixture) -> None:
    metrics.watch(**WATCHED | {"database_bytes": lambda: None})
    text = metrics.exposition(None)[0].decode()
    assert "llmtoken_queue_bytes 4096.0" in text
    assert "llmtoken_database_bytes " not in text
    assert not caplog.records


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let threads take turns so often that they meet in the narrowest place."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty_threads")
def test_scrapes_at_the_same_time_each_get_everything_once(metrics: Counting) -> None:
    metrics.record([call()])
    expected = metrics.exposition(None)
    together = threading.Barrier(4)
    shown: list[tuple[bytes, str]] = []

    def scrape() -> None:
        together.wait(10)
        shown.extend(metrics.exposition(None) for _ in range(50))

    threads = [threading.Thread(target=scrape) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert shown == [expected] * 200


def test_two_collectors_in_one_process_do_not_see_each_other(metrics: Counting) -> None:
    other = Counting(max_models=1, max_consumers=1)
    other.record([call()])
    assert b"llmtoken_requests_total" not in metrics.exposition(None)[0]
    other.close()
