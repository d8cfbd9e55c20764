"""On PostgreSQL, `calls` and `bodies` in partitions by day of arrival, so that old ones can be dropped whole."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection

revision = "0011"
down_revision = "0010"

DAY = 36
"""Bits of an id below the day's number."""

TODAY = f"SELECT ((extract(epoch FROM now())::bigint / 86400) << {DAY})"  # noqa: S608 - a number of our own

INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE schemaname = current_schema() AND tablename IN ('calls', 'bodies') ORDER BY indexname
"""
VIEWS = """
    SELECT DISTINCT views.oid::regclass::text AS name, pg_get_viewdef(views.oid) AS definition
    FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = objid JOIN pg_class AS views ON views.oid = ev_class
    WHERE refobjid IN ('calls'::regclass, 'bodies'::regclass) AND views.relkind = 'v'
"""


def upgrade() -> None:
    """What is there becomes the first partition as it is: it is read once, and nothing is copied but its ids."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    indexes, views = (connection.exec_driver_sql(query).all() for query in (INDEXES, VIEWS))
    filled = connection.exec_driver_sql("SELECT EXISTS (SELECT FROM calls)").scalar_one()
    _put_aside([name for name, _ in indexes])
    _make_tables()
    for _, definition in indexes:
        # Keys were made with their tables; each partition has its own index that makes request_id unique.
        if " UNIQUE " not in definition:
            op.execute(definition)
    for name, definition in views:
        op.execute(f"CREATE OR REPLACE VIEW {name} AS {definition}")
    if filled:
        _attach(connection)
    else:
        op.execute("DROP TABLE bodies_before, calls_before")


def _put_aside(indexes: list[str]) -> None:
    op.execute("ALTER TABLE bodies DROP CONSTRAINT bodies_call_id_fkey")
    for name in indexes:
        op.execute(f"ALTER INDEX {name} RENAME TO {name}_before")
    for table in ("calls", "bodies"):
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_before")


def _make_tables() -> None:
    statements = (
        # The ids that are known, each once, whatever the partition of its call is.
        "CREATE TABLE request_ids AS SELECT request_id, id AS call_id FROM calls_before ORDER BY id",
        "ALTER TABLE request_ids ADD PRIMARY KEY (request_id), ALTER COLUMN call_id SET NOT NULL",
        "CREATE INDEX request_ids_call_id ON request_ids USING brin (call_id)",
        f"ALTER SEQUENCE calls_id_seq OWNED BY NONE MAXVALUE {2**DAY - 1} CYCLE",
        # The default is for who inserts by hand; a collector says the id.
        f"""
        CREATE FUNCTION llmtoken_call_id() RETURNS bigint LANGUAGE sql VOLATILE
        AS '{TODAY} | nextval(''calls_id_seq'')'
        """,
        "CREATE TABLE calls (LIKE calls_before INCLUDING DEFAULTS) PARTITION BY RANGE (id)",
        "ALTER TABLE calls ADD PRIMARY KEY (id), ALTER COLUMN id SET DEFAULT llmtoken_call_id()",
        "CREATE TABLE bodies (LIKE bodies_before INCLUDING DEFAULTS) PARTITION BY RANGE (call_id)",
        "ALTER TABLE bodies ADD PRIMARY KEY (call_id)",
        # In place of a foreign key, which would look a call up for each body, and keep partitions from being dropped.
        """
        CREATE FUNCTION llmtoken_calls_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            DELETE FROM bodies WHERE call_id = ANY (ARRAY (SELECT id FROM gone));
            DELETE FROM request_ids WHERE request_id = ANY (ARRAY (SELECT request_id FROM gone));
            RETURN NULL;
        END $$
        """,
        """
        CREATE TRIGGER calls_deleted AFTER DELETE ON calls REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION llmtoken_calls_deleted()
        """,
    )
    for statement in statements:
        op.execute(statement)


def _attach(connection: Connection) -> None:
    today = connection.exec_driver_sql(TODAY).scalar_one()
    op.execute("ALTER TABLE calls_before ALTER COLUMN id DROP DEFAULT")
    for table in ("calls", "bodies"):
        op.execute(f"ALTER TABLE {table} ATTACH PARTITION {table}_before FOR VALUES FROM (MINVALUE) TO ({today})")
