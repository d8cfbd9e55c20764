"""A request's bytes and the reports in them."""

import gzip
import json

import pytest

from llmtoken.errors import NotJSON, ReportError, TooLarge
from llmtoken.payload import Form, parse
from llmtoken.report import Source

GOOD = {"request_body": "{}", "response_body": "{}", "elapsed_time": 1.5}
LIMIT = 10_000


def lines(*values: object) -> bytes:
    return b"\n".join(value if isinstance(value, bytes) else json.dumps(value).encode() for value in values)


def test_one_object_is_one_report() -> None:
    content = parse(lines(GOOD), form="one", gzipped=False, limit=LIMIT)
    assert [report.elapsed_time for report in content.reports] == [1.5]


def test_a_single_report_without_its_required_fields_says_which() -> None:
    with pytest.raises(ReportError, match="response_body"):
        parse(b'{"request_body": ""}', form="one", gzipped=False, limit=LIMIT)


@pytest.mark.parametrize("data", [b"", b"hello", b"{", b'{"request_body": "\xff"}'])
def test_what_is_not_json_says_so(data: bytes) -> None:
    with pytest.raises(NotJSON):
        parse(data, form="one", gzipped=False, limit=LIMIT)


def test_a_line_broken_in_the_middle_of_a_batch_is_refused_alone() -> None:
    content = parse(lines(GOOD, b'{"request_body": "{}", "resp', GOOD), form="lines", gzipped=False, limit=LIMIT)
    assert len(content.reports) == 2
    assert [refused.line for refused in content.rejected] == [1]


def test_line_numbers_count_blank_lines_as_the_sender_does() -> None:
    content = parse(lines(GOOD, b"", b"oops", GOOD) + b"\r\n", form="lines", gzipped=False, limit=LIMIT)
    assert [refused.line for refused in content.rejected] == [2]


def test_a_batch_may_be_gzipped() -> None:
    content = parse(gzip.compress(lines(GOOD, GOOD)), form="lines", gzipped=True, limit=LIMIT)
    assert len(content.reports) == 2
    assert content.size == len(lines(GOOD, GOOD))


def test_gzip_members_follow_one_another() -> None:
    data = gzip.compress(lines(GOOD) + b"\n") + gzip.compress(lines(GOOD))
    assert len(parse(data, form="lines", gzipped=True, limit=LIMIT).reports) == 2


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with pytest.raises(TooLarge, match="unpacks to more than 10000 bytes"):
        parse(bomb, form="lines", gzipped=True, limit=LIMIT)


@pytest.mark.parametrize("data", [b"not gzip", gzip.compress(b"{}")[:-9]], ids=["garbage", "cut"])
def test_damaged_gzip_says_so(data: bytes) -> None:
    with pytest.raises(NotJSON, match="gzip"):
        parse(data, form="one", gzipped=True, limit=LIMIT)


# ── The sender's ledger ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["one", "lines"])
def test_the_ledger_comes_with_the_reports(form: Form) -> None:
    content = parse(lines(GOOD), form=form, gzipped=False, limit=LIMIT, ledger='{"boot": "b", "sequence": 7}')
    assert (content.ledger, content.ledger_problem) == (Source(boot="b", sequence=7), None)
    assert len(content.reports) == 1


def test_a_ledger_may_come_alone() -> None:
    content = parse(b"", form="lines", gzipped=False, limit=LIMIT, ledger='{"boot": "b"}')
    assert (content.reports, content.rejected, content.ledger) == ([], [], Source(boot="b"))


def test_a_broken_ledger_costs_no_report() -> None:
    content = parse(lines(GOOD), form="lines", gzipped=False, limit=LIMIT, ledger="oops")
    assert content.ledger is None
    assert "Llmtoken-Source" in str(content.ledger_problem)
    assert len(content.reports) == 1
