"""Made-up calls with bodies, for whatever stores them."""

from collections.abc import Iterable
from typing import Any

from llmtoken.call import Call, Record
from support.calls import call


def record(
    request_id: str = "request-1",
    *,
    request_body: str | None = "question",
    response_body: str | None = "answer",
    fetched: bool = False,
    **changes: Any,
) -> Record:
    """A call where everything went well, but for `changes`."""
    return Record(
        call=call(request_id=request_id, **changes),
        request_body=request_body,
        response_body=response_body,
        fetched=fetched,
    )


def new(stored: Iterable[Call | None]) -> list[bool]:
    """Of what the audit says it stored: which were new."""
    return [call is not None for call in stored]
