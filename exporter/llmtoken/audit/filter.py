"""Which calls a question is about: one frozen value that API, command line and landing page share.

Owns what may be asked for, how it is written, and what is said when it is written wrong. Must not
know how calls are listed or added up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from sqlalchemy import ColumnElement, and_, literal_column
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from llmtoken.audit import values
from llmtoken.audit.schema import calls
from llmtoken.config import age
from llmtoken.errors import QueryError


def _given(value: Any) -> Any:
    """An empty text is what a form sends for a field that nobody filled in."""
    return None if value == "" else value


def _moment(value: Any) -> Any:
    if isinstance(value, datetime):
        return values.instant(value)
    if not isinstance(value, str) or not value:
        return _given(value)
    try:
        return datetime.now(UTC) - age(value)
    except (ValueError, OverflowError):
        pass
    try:
        return values.instant(datetime.fromisoformat(value))
    except ValueError:
        raise ValueError(
            f"{value!r} isn't a time: write 2026-01-31, 2026-01-31T12:00:00Z, or how long ago, such as 7d or 12h"
        ) from None


_STATUS = "^([1-9]xx|[1-9][0-9][0-9])?$"


def _status(value: Any) -> Any:
    text = str(value).lower() if value is not None else ""
    if re.fullmatch(_STATUS, text) is None:
        raise ValueError(f"{value!r} isn't a status: write a number such as 429, or a class such as 5xx")
    return text or None


def _error(value: Any) -> Any:
    return {"true": True, "false": False, "": None}.get(value, value) if isinstance(value, str) else value


def _text(example: str, description: str) -> Any:
    return Field(None, description=description, examples=[example])


_WRITTEN = {"anyOf": [{"format": "date"}, {"format": "date-time"}, {"pattern": "^([0-9]{1,6}[wdhms])?$"}]}

Moment = Annotated[datetime | None, BeforeValidator(_moment), WithJsonSchema({"type": "string", **_WRITTEN})]
Text = Annotated[str | None, BeforeValidator(_given), WithJsonSchema({"type": "string"})]
Status = Annotated[str | None, BeforeValidator(_status), WithJsonSchema({"type": "string", "pattern": _STATUS})]
Error = Annotated[bool | str | None, BeforeValidator(_error), WithJsonSchema({"type": "string"})]


UNKNOWN = "(none)"
"""Asks for the calls where a name is not known, as the dashboards call it."""


class Filter(BaseModel):
    """Calls that fit everything that is given; `None` asks for nothing. Texts must match as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Moment = _text(
        "2026-01-31", "Calls that came in then or later: a date or time (UTC unless it says), or an age: `7d`, `12h`."
    )
    until: Moment = _text("2026-02-28T12:00:00Z", "Calls that came in before; written like `since`.")
    model: Text = _text("gpt-4o", "Model that was asked for (`request_model`).")
    response_model: Text = _text("gpt-4o-2024-08-06", "Model that answered.")
    provider: Text = _text("openai", "Whose API it is (`provider_name`).")
    operation: Text = _text("chat", "What was asked for (`operation_name`).")
    consumer: Text = _text("team-search", "Who asked.")
    status: Status = _text("5xx", "HTTP status of the reply: a number, or a class such as `4xx`.")
    error: Error = _text("true", "`true`: calls that failed; `false`: calls that didn't; else this `error_type`.")
    q: Text = _text(
        "refund policy", "Calls in which this was said, where the setting `search` is on: docs/api.md. Not for usage."
    )

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("since is not before until, so no call can fit: swap them, or leave one out")
        return self

    @classmethod
    def of(cls, **given: Any) -> Self:
        """A filter from what a person wrote. Raises `QueryError` that says what is wrong, and where."""
        try:
            return cls(**given)
        except ValidationError as error:
            wrong = "; ".join(
                ": ".join([*map(str, each["loc"]), each["msg"].removeprefix("Value error, ")])
                for each in error.errors(include_url=False)
            )
            raise QueryError(wrong, hint=f"a filter takes {', '.join(cls.model_fields)}") from error

    def conditions(self) -> list[ColumnElement[bool]]:
        """What must be true of a row of `calls`; index-friendly."""
        found = list(self.of_dimensions(calls.c))
        if self.since is not None:
            found.append(calls.c.started_at >= self.since)
        if self.until is not None:
            found.append(calls.c.started_at < self.until)
        return found

    def dimensions(self) -> list[str]:
        """What is asked for, times aside."""
        return [name for name in DIMENSIONS if getattr(self, name) is not None]

    def has_index(self) -> bool:
        """Whether an index leads to the calls that fit, times aside."""
        failed = self.status is not None and self.status[0] >= "4"
        return failed or self.model is not None or self.consumer is not None or self.error not in (None, False)

    def of_dimensions(self, columns: ReadOnlyColumnCollection[str, Any]) -> Iterator[ColumnElement[bool]]:
        """What must be true of a row that has these columns of `calls`, times aside."""
        for name in self.dimensions():
            wanted, column = getattr(self, name), columns[DIMENSIONS[name].key]
            if name == "status":
                yield _is_status(column, wanted)
            elif wanted == UNKNOWN:
                yield column.is_(None)
            elif isinstance(wanted, bool):
                yield column.is_not(None) if wanted else column.is_(None)
            else:
                yield column == values.cleaner(DIMENSIONS[name])(wanted)


DIMENSIONS = {
    "model": calls.c.request_model,
    "response_model": calls.c.response_model,
    "provider": calls.c.provider_name,
    "operation": calls.c.operation_name,
    "consumer": calls.c.consumer,
    "status": calls.c.http_status,
    "error": calls.c.error_type,
}
"""What calls are filtered and grouped by, and where it stands."""


def _is_status(column: ColumnElement[Any], wanted: str) -> ColumnElement[bool]:
    first = int(wanted.replace("xx", "00"))
    same = column.between(first, first + 99) if wanted.endswith("xx") else column == first
    # What the index of failed calls is for, in its words.
    return and_(same, column >= literal_column("400")) if first >= 400 else same  # noqa: PLR2004
