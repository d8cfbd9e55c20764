"""The site: what it shows, and that nobody can do anything but read."""

import hashlib
import re
import sqlite3
from pathlib import Path

import pytest

from llmtoken import audit, config
from llmtoken.browse import application
from llmtoken.browse.site import Site
from llmtoken.errors import ConfigError, DatabaseError
from support.records import record

pytestmark = pytest.mark.anyio


# ── What it shows ───────────────────────────────────────────────────────────────────────


async def test_the_start_page_has_the_numbers_and_the_charts(site) -> None:
    async with site() as client:
        page = (await client.get("/")).text
        assert "<dd>6</dd>" in page.replace("\n", "")
        assert "16.7 % failed" in page
        assert page.count("<svg class=") - page.count("nav-menu") >= 5
        assert "gone" not in page
        assert "gone" in (await client.get("/?days=90")).text
        assert (await client.get("/?days=1;drop")).status_code == 200


async def test_one_call_is_shown_with_what_was_said_as_text(site) -> None:
    async with site() as client:
        page = (await client.get("/-/calls/first")).text
        assert "&lt;script&gt;alert(&#39;Hi&#39;)&lt;/script&gt;" in page
        assert "Hello, &lt;b&gt;you&lt;/b&gt;." in page
        assert "<script>alert" not in page
        assert (await client.get("/-/calls/nobody")).status_code == 404


async def test_a_call_is_found_whatever_its_id(site) -> None:
    async with site() as client:
        table = (await client.get("/audit/newest_calls")).text
        address = "/-/calls/a%2Fb%3Fc%3D%3Cd%3E%26%C3%A9"
        assert f'href="{address}"' in table
        page = await client.get(address)
        assert page.status_code == 200
        assert "a/b?c=&lt;d&gt;&amp;é" in page.text


async def test_the_columns_are_explained(site) -> None:
    async with site() as client:
        page = (await client.get("/audit/calls")).text
        assert "Order of arrival; never used twice." in page
        hidden = (await client.get("/audit.json")).json()["tables"]
        assert {table["name"] for table in hidden if table["hidden"]} >= {"heartbeat", "llmtoken_schema"}


async def test_rows_come_as_json_and_csv_for_programs(site) -> None:
    async with site() as client:
        rows = (await client.get("/audit/calls.json?_shape=array&consumer=bob&_col=request_id")).json()
        assert [row["request_id"] for row in rows] == ["dear", "slow"]
        csv = (await client.get("/audit/slowest_calls.csv")).text.splitlines()
        assert csv[1].startswith("slow,")


async def test_nothing_is_loaded_from_elsewhere(site) -> None:
    async with site("x") as client:
        client.headers["authorization"] = "Bearer x"
        for path in ("/", "/audit", "/audit/calls", "/audit/tokens_by_day", "/-/calls/first"):
            page = (await client.get(path)).text
            assert 'src="http' not in page
            assert not re.search(r'<link rel="stylesheet" href="(https?:)?//', page)


async def test_it_shows_what_a_running_collector_writes(database: str, site) -> None:
    with audit.open(database) as store:
        async with site() as client:
            store.write([record("just-now")])
            assert (await client.get("/-/calls/just-now")).status_code == 200


# ── Nobody can do more than read ────────────────────────────────────────────────────────


def digest(database: str) -> str:
    return hashlib.sha256(Path(database).read_bytes()).hexdigest()


WRITES = [
    *("delete from calls", "update calls set cost = 0", "insert into bodies (call_id) values (99)"),
    *("drop table calls", "create table x (y)", "vacuum", "vacuum into '/tmp/copy.db'", "reindex", "analyze"),
    *(
        "attach '/etc/passwd' as x",
        "attach ':memory:' as x",
        "pragma writable_schema = 1",
        "pragma journal_mode = delete",
    ),
    *("select load_extension('x')", "with x as (select 1) delete from calls", "explain delete from calls"),
    *("select 1; delete from calls", "select * from pragma_journal_mode('delete')", "begin immediate"),
]


@pytest.mark.parametrize("sql", WRITES)
async def test_sql_can_only_read(site, database: str, sql: str) -> None:
    before = digest(database)
    async with site() as client:
        answer = await client.get("/audit.json", params={"sql": sql, "_shape": "array"})
        assert answer.status_code == 400 or not answer.json() or "error" in str(answer.json()), answer.text
    assert digest(database) == before


@pytest.mark.parametrize("sql", [sql for sql in WRITES if ";" not in sql and not sql.startswith("explain")])
async def test_sqlite_itself_refuses_what_datasette_would_let_through(site, database: str, sql: str) -> None:
    site_ = Site(config.load(None, database=database), can_log_out=False)
    async with site():
        await site_.invoke_startup()

        def run(connection: sqlite3.Connection) -> None:
            with pytest.raises(sqlite3.DatabaseError):
                connection.execute(sql).fetchall()

        await site_.get_database("audit").execute_fn(run)
    with pytest.raises(sqlite3.OperationalError, match="read-only here"):
        site_.get_database("audit").connect(write=True)
    site_.reader.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_no_other_method_changes_anything(site, database: str, method: str) -> None:
    async with site() as client:
        for path in ("/audit/calls", "/audit/newest_calls", "/audit/calls/1", "/-/calls/first"):
            await client.request(method, path, json={"rows": [{"id": 99}], "delete": True})
    with audit.open_read_only(database) as reader:
        assert reader.count() == 7


async def test_a_query_that_takes_too_long_is_stopped(site) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    async with site() as client:
        answer = await client.get("/audit.json", params={"sql": endless})
        assert (answer.status_code, "interrupted" in answer.text.lower()) == (400, True)
        assert (await client.get("/audit/calls.json")).status_code == 200


async def test_a_query_cannot_fill_the_memory(site) -> None:
    async with site() as client:
        answer = await client.get("/audit.json", params={"sql": "select zeroblob(900000000)"})
        assert (answer.status_code, "too big" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "path",
    [
        *("/llmtoken/../base.html", "/llmtoken/%2e%2e/site.py", "/-/static/..%2f..%2fapp.py", "/llmtoken//etc/passwd"),
        *("/audit.db", "/_internal", "/_internal/databases", "/-/permissions", "/-/allow-debug", "/audit/../_internal"),
    ],
)
async def test_nothing_outside_is_to_be_had(site, path: str) -> None:
    async with site() as client:
        answer = await client.get(path)
        assert answer.status_code in {302, 400, 403, 404} or "hookimpl" not in answer.text
        assert not (answer.status_code == 200 and ("import " in answer.text or "SQLite format" in answer.text))


async def test_what_an_actor_could_claim_opens_no_inner_page(site) -> None:
    async with site() as client:
        assert (await client.get("/_internal", headers={"cookie": "ds_actor=root"})).status_code in {403, 404}
        assert (await client.get("/-/auth-token?token=guess")).status_code == 403


# ── What can't be browsed ───────────────────────────────────────────────────────────────


async def test_a_servers_database_is_refused_with_another_way() -> None:
    with pytest.raises(ConfigError, match="this audit is on a server") as caught:
        application(config.load(None, database="postgresql+psycopg://somebody@nowhere/audit"), ())
    assert "docs/sql.md" in caught.value.hint


async def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="There is no database"):
        application(config.load(None, database=str(tmp_path / "no.db")), ())
