"""The loss ledger's state, kept in the very transaction that stores the reports it came with.

A row of `plugin_boots` is one boot of one plugin, whoever heard of it last: replicas that share the
database read and write it in turns, so each number is found missing once, by one of them. What
a collector found is in its rows of `plugin_losses`, which is what its counters on `/metrics`
stand at. What a boot's state means is `llmtoken.ledger`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, String, Table, Text, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from llmtoken.audit.schema import SHORT, metadata
from llmtoken.audit.upsert import upsert
from llmtoken.audit.values import Instant, text
from llmtoken.ledger import Boot, Found, Told, boots_of, take

REMEMBERED = 1024
"""Boots that are kept; the ones unheard of for longest go first."""

plugin_boots = Table(
    "plugin_boots",
    metadata,
    Column("boot", String(SHORT), primary_key=True, doc="Identity of one run of a plugin."),
    Column("heard_at", Instant(), nullable=False, doc="When it was last heard of, UTC."),
    Column(
        "due_at", Instant(), doc="When a gap in its numbers may be old enough to be missing; null when none is open."
    ),
    Column("state", Text(), nullable=False, doc="Its losses, and the numbers that did not arrive: a JSON object."),
)

plugin_losses = Table(
    "plugin_losses",
    metadata,
    Column("instance", String(SHORT), primary_key=True, doc="Collector that counts them (setting `instance`)."),
    Column("kind", String(SHORT), primary_key=True, doc="`dropped`, `failed`, `missing` or `late`, as on `/metrics`."),
    Column("reason", String(SHORT), primary_key=True, doc="Why, as the plugin says; empty for `missing` and `late`."),
    Column("reports", BigInteger(), nullable=False, doc="How many reports."),
)

_SOME = plugin_boots.c.boot.in_(bindparam("boots", expanding=True))
_READ = select(plugin_boots.c.boot, plugin_boots.c.state)
_LOCK = _READ.where(_SOME).order_by(plugin_boots.c.boot).with_for_update()
_HOLD = "SELECT boot, state FROM plugin_boots WHERE boot = ANY(%s) ORDER BY boot FOR UPDATE"
_LOCK_DUE = _READ.where(plugin_boots.c.due_at <= bindparam("now", type_=Instant())).with_for_update(skip_locked=True)
_ANY_DUE = select(plugin_boots.c.boot).where(plugin_boots.c.due_at <= bindparam("now", type_=Instant())).limit(1)
_FORGOTTEN = (
    select(plugin_boots.c.boot)
    .order_by(plugin_boots.c.heard_at.desc(), plugin_boots.c.boot)
    .offset(REMEMBERED)
    .with_for_update(skip_locked=True)
)
_decode = msgspec.json.Decoder(Boot).decode
_encode = msgspec.json.Encoder().encode


class Boots:
    """The boots as the database has them, and what this collector found. To be made anew after a failed transaction.

    In a SQLite file nobody else writes, so what was read or written before is still so.
    """

    def __init__(self, instance: str, connection: Connection) -> None:
        self._instance = instance
        self._alone = connection.dialect.name == "sqlite"
        self._known = {row.boot: _decode(row.state) for row in connection.execute(_READ)} if self._alone else {}
        mine = select(plugin_losses).where(plugin_losses.c.instance == instance)
        self.losses = Found({(row.kind, row.reason): row.reports for row in connection.execute(mine)})
        """What was found by all transactions that were committed."""
        self._found = Found()
        insert_ = sqlite.insert if self._alone else postgresql.insert
        self._new = insert_(plugin_boots).on_conflict_do_nothing()
        more = insert_(plugin_losses)
        self._add = more.on_conflict_do_update(
            index_elements=["instance", "kind", "reason"],
            set_={"reports": plugin_losses.c.reports + more.excluded.reports},
        )

    def take(self, connection: Connection, told: Sequence[Told], now: float, *, settles: bool) -> None:
        """Take what plugins told, within the transaction that stores their reports; last in it, as it holds rows."""
        # A boot is any text; the database takes less.
        names = {name: text(name) for name in boots_of(told)}
        if names:
            boots = self._hold(connection, sorted(set(names.values())), now)
            found = take({name: boots[kept] for name, kept in names.items()}, told, now, settles=settles)
            rows = [_row(each, boots[each], now, now if settles else 0.0) for each in boots]
            upsert(connection, plugin_boots, rows)
            self._note(connection, found)

    def settle(self, connection: Connection, now: float) -> None:
        """Find missing what has been open for long enough, but for what somebody else is looking at."""
        rows = connection.execute(_LOCK_DUE, {"now": _moment(now)}).all()
        boots = {row.boot: self._known[row.boot] if self._alone else _decode(row.state) for row in rows}
        found = Found()
        for boot in boots.values():
            found.update(boot.settle(now))
        for name, boot in boots.items():
            state = {"due_at": _due(boot, now), "state": _encode(boot).decode()}
            connection.execute(update(plugin_boots).where(plugin_boots.c.boot == name).values(state))
        self._note(connection, found)

    def committed(self) -> None:
        """The transaction is committed: what it found counts now."""
        if self._found:
            self.losses = self.losses + self._found
            self._found = Found()

    def _hold(self, connection: Connection, names: Sequence[str], now: float) -> dict[str, Boot]:
        if self._alone:
            missing = [name for name in names if name not in self._known]
        else:
            # Past SQLAlchemy: every commit asks.
            held = connection.connection.cursor().execute(_HOLD, (names,))
            self._known = {boot: _decode(state) for boot, state in held}
            missing = [name for name in names if name not in self._known]
        if missing:
            rows = [{"boot": name, "heard_at": _moment(now), "state": _EMPTY} for name in missing]
            connection.execute(self._new, rows)
            # Another replica may have been first; we waited for it.
            found = connection.execute(_LOCK, {"boots": missing})
            self._known.update({row.boot: _decode(row.state) for row in found})
            self._forget(connection, names)
        return {name: self._known[name] for name in names}

    def _forget(self, connection: Connection, held: Iterable[str]) -> None:
        forgotten = set(connection.execute(_FORGOTTEN).scalars()) - set(held)
        if forgotten:
            connection.execute(delete(plugin_boots).where(_SOME), {"boots": list(forgotten)})
            for name in forgotten:
                self._known.pop(name, None)

    def _note(self, connection: Connection, found: Found) -> None:
        if found:
            losses = [
                {"instance": self._instance, "kind": kind, "reason": reason, "reports": count}
                for (kind, reason), count in found.items()
            ]
            connection.execute(self._add, losses)
            self._found.update(found)


def any_due(connection: Connection, now: float) -> bool:
    """Whether `settle` may find something."""
    return connection.execute(_ANY_DUE, {"now": _moment(now)}).first() is not None


_EMPTY = _encode(Boot()).decode()


def _row(name: str, boot: Boot, now: float, settled: float) -> list[Any]:
    return [name, _moment(now), _due(boot, settled), _encode(boot).decode()]


def _due(boot: Boot, settled: float) -> datetime | None:
    due = boot.due(settled)
    return None if due is None else _moment(due)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
