"""What calls add up to."""

from decimal import Decimal

from llmtoken.totals import Labels, labels, plus, total
from support.calls import call, failed, streamed, without_tokens


def test_tokens_and_costs_add_up_and_unknown_adds_nothing() -> None:
    sums = total([call(), without_tokens(), streamed()])
    assert (sums.calls, sums.input_tokens, sums.output_tokens) == (3, 3100, 420)
    assert (sums.cache_read_input_tokens, sums.cache_write_input_tokens, sums.reasoning_output_tokens) == (
        64,
        2048,
        150,
    )
    assert sums.cost == Decimal("0.01717")


def test_what_nobody_said_stays_unknown_and_a_said_zero_is_zero() -> None:
    assert total([without_tokens()]).input_tokens is None
    assert total([call(output_tokens=0), without_tokens()]).output_tokens == 0


def test_a_call_is_unpriced_when_it_has_tokens_and_no_price() -> None:
    calls = [call(cost=None), call(), without_tokens(), call(cost=Decimal(0)), call(cost=None, input_tokens=0)]
    assert total(calls).unpriced_calls == 2


def test_costs_are_exact_beyond_the_digits_that_python_usually_keeps() -> None:
    large, small = Decimal(999999999999999), Decimal("0.000000000000000000000000000001")
    sums = total([call(cost=large), call(cost=small)])
    assert sums.cost == Decimal("999999999999999.000000000000000000000000000001")


def test_sums_of_parts_are_the_sum_of_all() -> None:
    calls = [call(), streamed(), failed(), call(cost=None)]
    assert plus(total(calls[:2]), total(calls[2:])) == total(calls)


def test_unknown_names_are_empty_labels() -> None:
    unknown = dict.fromkeys(("operation_name", "provider_name", "request_model", "response_model"))
    assert labels(call(**unknown, consumer=None, http_status=None, aborted=None)) == Labels(usage_source="reported")
