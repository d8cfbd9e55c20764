"""Series as lines of text."""

from collections.abc import Iterable

from llmtoken.metrics import instruments
from llmtoken.metrics.beside import Series, Values
from llmtoken.metrics.samples import Samples

LABELS: Values = ("chat", "openai", "gpt", "gpt-1", "input")
NAMED = (
    'gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="gpt",'
    'gen_ai_response_model="gpt-1",gen_ai_token_type="input"'
)
BUCKETS = len(instruments.TOKEN_USAGE.buckets) + 1


def lines(samples: Samples, series: Series) -> list[str]:
    return [line for text in samples.lines(series) for line in text.splitlines()]


def numbers(found: Iterable[str]) -> list[str]:
    return [line.rpartition(" ")[2] for line in found]


def test_a_histogram_says_how_many_were_at_most_each_bound_then_all_then_their_sum() -> None:
    found = lines(Samples(instruments.TOKEN_USAGE), {LABELS: (7.5, 1, 0, 2, *[0] * (BUCKETS - 3))})
    name = instruments.TOKEN_USAGE.prometheus
    assert found[0] == f'{name}_bucket{{{NAMED},le="{instruments.TOKEN_USAGE.buckets[0]!r}"}} 1.0'
    assert found[2].endswith(" 3.0")
    assert found[-3:] == [
        f'{name}_bucket{{{NAMED},le="+Inf"}} 3.0',
        f"{name}_count{{{NAMED}}} 3.0",
        f"{name}_sum{{{NAMED}}} 7.5",
    ]


def test_a_series_that_moved_is_written_anew_and_the_others_stay() -> None:
    samples = Samples(instruments.REDACTIONS)
    before = lines(samples, {("email",): (1,), ("jwt",): (5,)})
    after = lines(samples, {("email",): (2,), ("jwt",): (5,)})
    assert numbers(before) == ["1.0", "5.0"]
    assert numbers(after) == ["2.0", "5.0"]
    assert before[1] == after[1]


def test_a_series_that_is_gone_is_not_shown_any_more() -> None:
    samples = Samples(instruments.REDACTIONS)
    samples.lines({("email",): (1,), ("jwt",): (5,)})
    assert len(samples.lines({("jwt",): (5,)})) == 1


def test_what_exceeds_the_limit_of_series_is_labelled_as_the_sdk_does() -> None:
    found = lines(Samples(instruments.REDACTIONS), {None: (3,)})
    assert found == [f'{instruments.REDACTIONS.prometheus}{{otel_metric_overflow="true"}} 3.0']


def test_an_unknown_label_is_left_out_and_a_hostile_one_is_escaped() -> None:
    found = lines(Samples(instruments.REDACTIONS), {("",): (1,), ('a"\\\n',): (2,)})
    assert found == [
        f"{instruments.REDACTIONS.prometheus} 1.0",
        f'{instruments.REDACTIONS.prometheus}{{llmtoken_redaction_rule="a\\"\\\\\\n"}} 2.0',
    ]
