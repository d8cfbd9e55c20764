"""Copies of the audit: exact, in order of arrival, complete or not there, and to be gone on with."""

import csv
import io
import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import event

from llmtoken import audit
from llmtoken.audit import Audit, Filter, Reader, blocks
from llmtoken.errors import ConfigError, ExportError
from llmtoken.export import File, Job, Progress, Stream, Summary, export, format_of
from llmtoken.export.formats import Csv, JsonLines
from support.records import record

START = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ODD = 'a "quoted", text\r\nof two lines; =1+1'
EXACT = Decimal("1234567.00000000000000000000001")


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store:
        store.write(
            [
                record("a", started_at=START, consumer=ODD, cost=EXACT, labels={"team": "búsqueda"}),
                record("b", started_at=START - timedelta(days=1), consumer=None, cost=None, aborted="", stream=True),
                record("c", started_at=START, consumer="bob", duration=0.1 + 0.2, details={"pages": 3}, cost=None),
                record("bare", started_at=START, request_body=None, response_body=None, input_tokens=0, cost=None),
            ]
        )
    return path


@pytest.fixture
def reader(database: str) -> Iterator[Reader]:
    with audit.open_read_only(database) as reader:
        yield reader


def copied(reader: Reader, target: Path, **changes: Any) -> Summary:
    job = Job(**{"database": "here", "which": Filter(), "format": format_of(target.name), **changes})
    return export(reader, job, File(target), advanced=lambda _: None)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# ── What is in it ───────────────────────────────────────────────────────────────────────


def test_json_lines_have_what_the_api_gives_and_the_order_of_arrival(reader: Reader, tmp_path: Path) -> None:
    summary = copied(reader, tmp_path / "calls.jsonl", bodies=True)
    found = lines(tmp_path / "calls.jsonl")
    assert (summary.calls, summary.after, [call["request_id"] for call in found]) == (4, 4, ["a", "b", "c", "bare"])
    for number, call in enumerate(found, 1):
        assert call.pop("id") == number
        assert call.pop("counted_by") is None
        assert call == reader.call(call["request_id"], details=True, bodies=True)
    assert Decimal(found[0]["cost"]) == EXACT


def test_without_bodies_there_are_none(reader: Reader, tmp_path: Path) -> None:
    copied(reader, tmp_path / "calls.jsonl")
    assert not {"request_body", "response_body"} & lines(tmp_path / "calls.jsonl")[0].keys()


def test_csv_tells_null_from_an_empty_text(reader: Reader, tmp_path: Path) -> None:
    copied(reader, tmp_path / "calls.csv", bodies=True)
    text = (tmp_path / "calls.csv").read_bytes().decode()
    names, a, b, c, bare = csv.reader(io.StringIO(text, newline=""))
    rows = [dict(zip(names, row, strict=True)) for row in (a, b, c, bare)]
    assert (rows[0]["consumer"], rows[0]["cost"], rows[0]["stream"]) == (ODD, str(EXACT), "false")
    assert json.loads(rows[0]["labels"]) == {"team": "búsqueda"}
    assert float(rows[2]["duration"]) == 0.1 + 0.2
    assert (rows[3]["input_tokens"], rows[3]["cost"]) == ("0", "")
    # aborted is empty, consumer is unknown: the reader above sees no difference, but it is there.
    (line,) = [line for line in text.splitlines() if line.startswith("2,b,")]
    fields = line.split(",")
    assert (fields[names.index("aborted")], fields[names.index("consumer")]) == ('""', "")


def test_parquet_has_types_and_every_digit(reader: Reader, tmp_path: Path) -> None:
    copied(reader, tmp_path / "calls.parquet", bodies=True)
    table = pq.read_table(tmp_path / "calls.parquet")
    a, b, c, bare = table.to_pylist()
    assert (a["cost"], a["started_at"], a["consumer"], a["stream"]) == (EXACT, START, ODD, False)
    assert (b["cost"], b["consumer"], b["aborted"], b["stream"]) == (None, None, "", True)
    assert (c["duration"], json.loads(c["details"])) == (0.1 + 0.2, {"pages": 3})
    assert (bare["input_tokens"], bare["request_body"], a["response_body"]) == (0, None, "answer")
    assert table.schema.field("total_tokens").type == pa.int64()
    assert table.schema.field("started_at").type == pa.timestamp("us", "UTC")


def test_a_cost_that_parquet_has_no_room_for_is_refused_not_rounded(tmp_path: Path) -> None:
    with audit.open(str(tmp_path / "audit.db")) as store:
        store.write([record(cost=Decimal("1E-30"))])
        with pytest.raises(ExportError, match="no room for a value of cost"):
            copied(store, tmp_path / "calls.parquet")
    assert not (tmp_path / "calls.parquet").exists()


def test_parquet_without_its_package_says_what_to_install(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError) as caught:
        copied(reader, tmp_path / "calls.parquet")
    assert caught.value.hint == "pip install 'llmtoken[parquet]'"


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.csv", "calls.parquet"])
def test_an_export_of_nothing_is_a_file_with_nothing(reader: Reader, tmp_path: Path, name: str) -> None:
    summary = copied(reader, tmp_path / name, which=Filter(consumer="nobody"))
    assert (summary.calls, summary.after) == (0, 0)
    size = len((tmp_path / name).read_bytes().splitlines())
    assert size == {"calls.jsonl": 0, "calls.csv": 1}.get(name, size)
    if name.endswith("parquet"):
        assert pq.read_table(tmp_path / name).num_rows == 0


def test_only_what_fits_is_copied(reader: Reader, tmp_path: Path) -> None:
    for which, expected in (
        (Filter(consumer="bob"), ["c"]),
        (Filter.of(since="2026-01-01"), ["a", "c", "bare"]),
        (Filter.of(until="2026-01-01"), ["b"]),
        (Filter(error=True), []),
        (Filter(status="2xx", consumer=ODD), ["a"]),
    ):
        copied(reader, tmp_path / "calls.jsonl", which=which)
        assert [call["request_id"] for call in lines(tmp_path / "calls.jsonl")] == expected


def test_whatever_the_filter_no_block_sorts_all_that_fits(reader: Reader) -> None:
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT calls.id"):
            plan = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[3] for row in plan)

    event.listen(reader._connections.reader, "before_cursor_execute", explain)
    for given in ({"consumer": "bob"}, {"since": "2025-01-01"}, {"model": "gpt-4o", "until": "2030-01-01"}, {}):
        which = Filter.of(**given)
        list(reader.blocks(which, reader.span(which)))
    assert len(plans) >= 4
    assert {plan.split(" USING ")[1] for plan in plans} == {"INTEGER PRIMARY KEY (rowid>? AND rowid<?)"}


def test_what_arrives_meanwhile_belongs_to_the_next_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROWS", 1)
    with audit.open(str(tmp_path / "audit.db")) as store:
        store.write([record("a"), record("b")])
        job = Job("here", Filter(), "jsonl")
        arrive = iter(["c"])

        def advanced(_: Progress) -> None:
            store.write([record(name) for name in arrive])

        summary = export(store, job, File(tmp_path / "one.jsonl"), advanced=advanced)
        copied(store, tmp_path / "two.jsonl", after=summary.after)
    assert [call["request_id"] for call in lines(tmp_path / "one.jsonl")] == ["a", "b"]
    assert [call["request_id"] for call in lines(tmp_path / "two.jsonl")] == ["c"]


# ── A file is complete, or not there ────────────────────────────────────────────────────


class Stopped(Exception):
    pass


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    monkeypatch.setattr(blocks, "ROWS", 10)
    monkeypatch.setattr(blocks, "_TEXTS", 3)
    with audit.open(str(tmp_path / "many.db")) as store:
        store.write([record(f"r{n}", consumer=ODD, response_body=f"{ODD} {n}") for n in range(100)])
        yield store


def interrupted(store: Audit, target: File, after: int, **changes: Any) -> None:
    def advanced(progress: Progress) -> None:
        if progress.calls >= after:
            raise Stopped

    job = Job(**{"database": "here", "which": Filter(), "format": format_of(target.name), **changes})
    with pytest.raises(Stopped):
        export(store, job, target, advanced=advanced)


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.csv"])
@pytest.mark.parametrize("bodies", [False, True])
def test_what_goes_on_ends_as_if_nothing_had_been(many: Audit, tmp_path: Path, name: str, bodies: bool) -> None:
    copied(many, tmp_path / f"whole-{name}", bodies=bodies)
    interrupted(many, File(tmp_path / name), 30, bodies=bodies)
    assert not (tmp_path / name).exists()
    # Half a line is what a power cut leaves.
    with (tmp_path / f"{name}.part").open("ab") as file:
        file.write(b'{"id": 31, "requ')
    many.write([record("late")])
    # Format, bodies and filter are those that it was begun with.
    again = File(tmp_path / name, resume=True)
    summary = export(many, Job("here", Filter(), "parquet"), again, advanced=lambda _: None)
    assert (summary.calls, summary.after) == (100, 100)
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    assert list(tmp_path.glob("*.part*")) == []


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.csv"])
@pytest.mark.parametrize("blocks_before", [0, 3])
def test_an_interruption_behind_a_write_writes_nothing_twice(
    many: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, blocks_before: int
) -> None:
    copied(many, tmp_path / f"whole-{name}")
    kind = JsonLines if name.endswith("jsonl") else Csv
    written, count = kind.write, iter(range(100))

    def write(writer: Any, rows: Any) -> None:
        written(writer, rows)
        if next(count) == blocks_before:
            raise KeyboardInterrupt

    monkeypatch.setattr(kind, "write", write)
    with pytest.raises(KeyboardInterrupt):
        copied(many, tmp_path / name)
    monkeypatch.undo()
    export(many, Job("here", Filter(), "csv"), File(tmp_path / name, resume=True), advanced=lambda _: None)
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()


def test_what_goes_on_keeps_a_moment_that_was_given_as_an_age(many: Audit, tmp_path: Path) -> None:
    which = Filter.of(since="100000d", error="false")
    interrupted(many, File(tmp_path / "calls.jsonl"), 30, which=which)
    kept = json.loads((tmp_path / "calls.jsonl.part.json").read_text())["filter"]
    assert Filter.of(**kept) == which


def test_a_parquet_file_that_was_interrupted_can_be_read_as_far_as_it_goes(many: Audit, tmp_path: Path) -> None:
    interrupted(many, File(tmp_path / "calls.parquet"), 30)
    assert not (tmp_path / "calls.parquet").exists()
    assert pq.read_table(tmp_path / "calls.parquet.part").column("id").to_pylist() == list(range(1, 31))


def test_an_older_file_stays_until_the_new_one_is_complete(many: Audit, tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_text("old")
    interrupted(many, File(tmp_path / "calls.jsonl"), 30)
    assert (tmp_path / "calls.jsonl").read_text() == "old"
    copied(many, tmp_path / "calls.jsonl")
    assert len(lines(tmp_path / "calls.jsonl")) == 100


def test_nobody_else_may_read_an_export(many: Audit, tmp_path: Path) -> None:
    copied(many, tmp_path / "calls.jsonl")
    assert stat.S_IMODE((tmp_path / "calls.jsonl").stat().st_mode) == 0o600


def test_nothing_to_go_on_with_is_told(many: Audit, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no export to .* that could go on"):
        File(tmp_path / "calls.jsonl", resume=True)
    interrupted(many, File(tmp_path / "calls.jsonl"), 30)
    again = File(tmp_path / "calls.jsonl", resume=True)
    with pytest.raises(ExportError, match="one of here, not of there"):
        export(many, Job("there", Filter(), "jsonl"), again, advanced=lambda _: None)
    (tmp_path / "calls.jsonl.part").write_text("")
    with pytest.raises(ExportError, match="has got shorter"):
        export(many, Job("here", Filter(), "jsonl"), again, advanced=lambda _: None)


def test_a_place_that_takes_nothing_is_told(many: Audit, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"Can't write .*No such file or directory"):
        copied(many, tmp_path / "nowhere" / "calls.jsonl")


def test_a_stream_gets_the_same_bytes(many: Audit, tmp_path: Path) -> None:
    stream = io.BytesIO()
    export(many, Job("here", Filter(), "jsonl"), Stream(stream, "stream"), advanced=lambda _: None)
    copied(many, tmp_path / "calls.jsonl")
    assert stream.getvalue() == (tmp_path / "calls.jsonl").read_bytes()


def test_a_name_without_a_format_asks_for_one() -> None:
    assert [format_of(name) for name in ("a.JSONL", "a.ndjson", "b.csv", "c.parquet")] == [
        *("jsonl", "jsonl", "csv", "parquet")
    ]
    with pytest.raises(ConfigError, match=r"which format calls\.xlsx shall have"):
        format_of("calls.xlsx")
